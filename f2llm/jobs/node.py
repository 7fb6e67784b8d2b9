"""Check before a job that its machine shares files, clock and software with the login node.

The login node leaves a note in the results folder and a token in the environment of its jobs; a node that does not
find the note, or finds another one, works on other files.
"""

import os
import platform
import secrets
import tempfile
import time
from pathlib import Path

from f2llm.jobs.code import code_hash, result_versions
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json

TOKEN = "F2LLM_RUN_TOKEN"
NOTE = ".cluster.json"
# Network file systems show new files late: as long as `latency-wait` of the Slurm profile.
PATIENCE_SECONDS = 60.0
# Snakemake compares times of files; less than this between machines has never put an output before its input.
CLOCK_SECONDS = 30.0


def announce(results: str | Path) -> None:
    """Leave the note for the nodes in the results folder, and the token in this process's environment.

    Raises:
        InputError: the folder cannot be written to, or this machine's clock and that of the files differ.
    """
    faults = write_faults(results) or clock_faults(results)
    if faults:
        raise InputError(faults)
    os.environ[TOKEN] = secrets.token_hex(8)
    write_json(Path(results, NOTE), {"token": os.environ[TOKEN], "code": code_hash(), "versions": result_versions()})


def check_node(results: str | Path, *, patience: float = PATIENCE_SECONDS) -> None:
    """Check on the node of a job that it sees what the login node saw; without a token nothing is checked.

    Raises:
        InputError: another results folder, code, packages or clock than on the login node; all faults at once.
    """
    if TOKEN not in os.environ:
        return
    note, deadline = _note(results), time.monotonic() + patience
    while note.get("token") != os.environ[TOKEN] and time.monotonic() < deadline:
        time.sleep(1.0)
        note = _note(results)
    where = f"node {platform.node()}"
    if note.get("token") != os.environ[TOKEN]:
        raise InputError(
            f"{where}: {Path(results).resolve()} is not the folder that the login node sees; put the checkout and its "
            "results on a file system that all nodes share"
        )
    login_versions, node_versions = note["versions"], result_versions()
    faults = [
        f"{where}: {name} {node_versions.get(name, 'is missing')}, on the login node "
        f"{login_versions.get(name, 'it is missing')}; use one environment on all nodes"
        for name in sorted(login_versions.keys() | node_versions.keys())
        if login_versions.get(name) != node_versions.get(name)
    ]
    if note["code"] != code_hash():
        faults.append(
            f"{where}: other code than on the login node; use one checkout, and do not edit it while a run lives"
        )
    faults += write_faults(results) or [f"{where}: {fault}" for fault in clock_faults(results)]
    if faults:
        raise InputError(faults)


def write_faults(folder: str | Path) -> list[str]:
    """Faults that keep this process from writing in a folder, which is created if it is missing."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-", suffix=".part") as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fault = f"{Path(folder).resolve()}: cannot be written to ({error.strerror})"
        return [f"{fault}; run in a checkout of your own, on a disk with space and quota left"]
    return []


def clock_faults(folder: str | Path) -> list[str]:
    """A fault if this machine's clock is too far from that of the file system."""
    before = time.time()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-", suffix=".part") as file:
        stamp, after = Path(file.name).stat().st_mtime, time.time()
    away = max(before - stamp, stamp - after, 0.0)
    if away <= CLOCK_SECONDS:
        return []
    fault = f"the clock is {away:.0f} s from that of the files in {Path(folder).resolve()}"
    return [f"{fault}; set it (NTP), else outputs look older than their inputs"]


def _note(results: str | Path) -> dict[str, object]:
    try:
        return read_json(Path(results, NOTE))
    except (OSError, ValueError):
        return {}
