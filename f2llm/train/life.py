"""The life of a trainer process: the only one in its folder, stopped after a saved step, never left as an orphan."""

import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType

import psutil

from f2llm.records.errors import InputError
from f2llm.records.locks import take

LAUNCHER = "F2LLM_LAUNCHER"
CONFIGURED_SIZE = "F2LLM_WORLD_SIZE"  # set by the launcher: nodes x processes
# The line that a trainer logs when it was stopped and has saved its state; torchrun turns its exit code into 1.
STOPPED_LINE = "stopped as asked"
# An orphan needs a moment to see that its parent is gone.
LOCK_SECONDS = 5.0
WATCH_SECONDS = 0.5
# After a worker's death torchrun sends the others SIGTERM, but these may be waiting for it in a collective.
GRACE_SECONDS = 30.0


def lock_folder(folder: str | Path) -> int:
    """Lock a folder until this process ends; returns a file descriptor, which must stay open.

    Raises:
        InputError: another live trainer holds it.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_SECONDS
    while (handle := take(folder)) is None:
        if time.monotonic() >= deadline:
            raise InputError(
                f"{folder}: another trainer is running on this folder; wait for it or stop it, "
                "then run the same command again"
            )
        time.sleep(WATCH_SECONDS)
    return handle


class StopRequest:
    """Catches SIGTERM and SIGINT, so that the current step ends and is saved; `asked` is true from then on."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._catch)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def die_with_launcher(stop: StopRequest) -> None:
    """Watch the parents of this process in a thread; when one is gone, end this process at once.

    The parents are torchrun and the process that launched it. torchrun starts its workers in sessions of their own,
    so a kill -9 of the workflow would leave them running, and holding the lock. Ending at once is safe: checkpoints
    are complete or absent. A process also ends at once if it should stop and cannot, because a worker beside it has
    been gone for a while.
    """
    if not {"TORCHELASTIC_RUN_ID", LAUNCHER} & os.environ.keys():
        return  # started by hand
    parent = os.getppid()
    host, _, number = os.environ.get(LAUNCHER, "").partition(" ")
    # On another node only torchrun can be watched; srun ends that one.
    launcher = _process(int(number)) if host == socket.gethostname() else None
    siblings = Siblings(parent, count=int(os.environ.get("LOCAL_WORLD_SIZE", "1")))

    def end_when_gone() -> None:
        while os.getppid() == parent and (launcher is None or _lives(launcher)):
            if stop.asked and siblings.long_gone():
                break
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=end_when_gone, daemon=True).start()


class Siblings:
    """The `count` workers of the torchrun with the process id `parent`."""

    def __init__(self, parent: int, *, count: int) -> None:
        self._parent, self._count, self._first_gone = parent, count, float("inf")

    def long_gone(self) -> bool:
        """Whether one of them, or torchrun, has been gone for GRACE_SECONDS, as seen by the calls so far."""
        now = time.monotonic()
        try:
            living = sum(map(_lives, psutil.Process(self._parent).children()))
        except psutil.NoSuchProcess:
            living = 0
        if living < self._count:
            self._first_gone = min(self._first_gone, now)
        return now - self._first_gone >= GRACE_SECONDS


def _process(number: int) -> psutil.Process | None:
    try:
        return psutil.Process(number) if number else None
    except psutil.NoSuchProcess:
        os._exit(1)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
