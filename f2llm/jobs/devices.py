"""The GPUs of a machine without a scheduler: how many there are, and one job a device at a time.

In a Slurm job the scheduler has given the job its devices (`gres`), and nothing is done here.
"""

import contextlib
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from f2llm.errors import InputError

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK_SECONDS = 0.2


def visible_devices(devices: str | Path = "/dev") -> list[str]:
    """Return the devices that this process may use: those of CUDA_VISIBLE_DEVICES, else all of this machine.

    No driver is asked, so the workflow can plan with it; a pretended list serves tests.
    """
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].split(",") if name and name != "-1"]
    return sorted(
        (match[1] for path in Path(devices).glob("nvidia*") if (match := re.fullmatch(r"nvidia(\d+)", path.name))),
        key=int,
    )


@contextlib.contextmanager
def claimed(count: int, *, locks: str | Path | None = None) -> Iterator[list[str]]:
    """Hold `count` devices of this machine while the block runs, and let this process see only those.

    Waits for other jobs of this user to give theirs back; a job that dies gives them back by dying. Without
    devices, or inside a Slurm job, nothing is claimed.

    Raises:
        InputError: more devices than this machine has.
    """
    there = visible_devices()
    if not count or not there or "SLURM_JOB_ID" in os.environ:
        yield []
        return
    if count > len(there):
        raise InputError(
            f"devices: {count} GPUs asked for, this machine has {len(there)}; lower train.processes, or run with "
            "--profile slurm"
        )
    folder = Path(locks or Path(tempfile.gettempdir(), f"f2llm-devices-{os.getuid()}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before: str | None = os.environ.get(VISIBLE)
    held: dict[str, int] = {}
    try:
        while not (held := _lock_free(folder, there, count)):
            time.sleep(LOOK_SECONDS)
        os.environ[VISIBLE] = ",".join(held)
        yield list(held)
    finally:
        for handle in held.values():
            os.close(handle)
        os.environ.pop(VISIBLE, None)
        if before is not None:
            os.environ[VISIBLE] = before


def _lock_free(folder: Path, names: list[str], count: int) -> dict[str, int]:
    """Return device -> held lock for `count` devices, or none at all, so that two jobs never wait for each other."""
    held: dict[str, int] = {}
    for name in names:
        handle = os.open(folder / re.sub(r"\W", "_", name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held[name] = handle
        except BlockingIOError:
            os.close(handle)
        if len(held) == count:
            return held
    for handle in held.values():
        os.close(handle)
    return {}
