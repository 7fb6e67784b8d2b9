"""Accept existing outputs after a change of code that keeps results, and record that."""

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from f2llm.records.errors import InputError

RECORD = Path("results/lineage/accepted.jsonl")


def accept_outputs(*, reason: str, targets: Sequence[str]) -> str:
    """Mark outputs that would re-run only because their params changed as up to date; return a line for a person.

    Runs in the current folder, through `snakemake --touch`. The record names time, reason,
    commit and the outputs, so that the lineage shows which files were made by older code.

    Raises:
        InputError: an empty reason, nothing to accept, or outputs that are missing.
    """
    if not reason.strip():
        raise InputError("accept: the reason is empty; say why the results are the same")
    listed = _snakemake("--list-changes", "params", *targets)
    if listed.returncode:
        raise InputError(f"accept: snakemake failed: {_last_line(listed.stderr)}")
    changed = listed.stdout.split()
    if not changed:
        raise InputError("accept: no output has changed params; there is nothing to accept")
    touched = _snakemake("--touch", *targets)
    if touched.returncode:
        raise InputError(
            f"accept: snakemake --touch failed: {_last_line(touched.stderr)}; run the missing stages first"
        )
    entry = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "reason": reason,
        "commit": _commit(),
        "outputs": sorted(changed),
    }
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    with open(RECORD, "a", encoding="utf-8") as file:
        file.write(json.dumps(entry, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return f"accepted {len(changed)} outputs as unchanged; recorded in {RECORD}"


def _snakemake(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
