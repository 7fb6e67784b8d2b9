"""The GPUs of a machine without a scheduler: how many there are, and one job a device at a time.

In a Slurm job the scheduler has given the job its devices (`gres`), and nothing is done here.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from f2llm.records.errors import InputError
from f2llm.records.locks import hold_several

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK_SECONDS = 0.2


def visible_devices(devices: str | Path = "/dev") -> list[str]:
    """Devices that this process may use: those of CUDA_VISIBLE_DEVICES, else all of this machine.

    Reads /dev, not the driver, so that planning needs no CUDA. Tests pass a fake folder.
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

    Waits for other jobs of this user to release theirs; a job that dies releases them too. Without
    devices, or inside a Slurm job, nothing is claimed.

    Raises:
        InputError: more devices than this machine has.
    """
    devices = visible_devices()
    if not count or not devices or "SLURM_JOB_ID" in os.environ:
        yield []
        return
    if count > len(devices):
        raise InputError(
            f"devices: {count} GPUs asked for, this machine has {len(devices)}; lower train.processes, or run with "
            "--profile slurm"
        )
    folder = Path(locks or Path(tempfile.gettempdir(), f"f2llm-devices-{os.getuid()}"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    device_of = {folder / re.sub(r"\W", "_", name): name for name in devices}
    before: str | None = os.environ.get(VISIBLE)
    with hold_several(list(device_of), count=count, look_seconds=LOOK_SECONDS) as held:
        own_devices = [device_of[lock] for lock in held]
        os.environ[VISIBLE] = ",".join(own_devices)
        try:
            yield own_devices
        finally:
            os.environ.pop(VISIBLE, None)
            if before is not None:
                os.environ[VISIBLE] = before
