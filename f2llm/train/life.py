"""How a trainer lives and dies: alone in its folder, stopped in order, never left behind as an orphan."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import psutil

from f2llm.errors import InputError
from f2llm.records.locks import take

LAUNCHER = "F2LLM_LAUNCHER"
ASKED_SIZE = "F2LLM_WORLD_SIZE"  # set by the launcher: nodes x processes
# What a trainer says when it was stopped and has saved its state; torchrun turns the exit code into 1.
STOPPED_LINE = "stopped as asked"
# An orphan needs a moment to see that its parent is gone.
LOCK_SECONDS = 5.0
WATCH_SECONDS = 0.5
# After a worker's death torchrun asks the others to stop, but these may wait for the dead one in a collective.
MOURNING_SECONDS = 30.0


def lock_folder(folder: str | Path) -> int:
    """Take the lock on a folder until this process ends; return its file descriptor, which must stay open.

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
    """Notes SIGTERM and SIGINT, so that the step at hand ends and is saved."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def die_with_launcher(stop: StopRequest) -> None:
    """End this process at once when torchrun or the process that launched torchrun is gone.

    torchrun starts its workers in sessions of their own, so a kill -9 of the workflow would leave
    them running, and holding the lock. Ending at once is safe: checkpoints are complete or absent.
    So does a process that is to stop and cannot, since a worker beside it is long gone.
    """
    if not {"TORCHELASTIC_RUN_ID", LAUNCHER} & os.environ.keys():
        return  # started by hand: no one to follow
    parent = os.getppid()
    host, _, number = os.environ.get(LAUNCHER, "").partition(" ")
    # On another node only torchrun can be followed; srun ends that one.
    launcher = _process(int(number)) if host == socket.gethostname() else None

    siblings = Siblings(parent, count=int(os.environ.get("LOCAL_WORLD_SIZE", "1")))

    def gone() -> bool:
        orphaned = os.getppid() != parent or (launcher is not None and not _lives(launcher))
        return orphaned or (stop.asked and siblings.long_gone())

    threading.Thread(target=_end_when, args=(gone,), daemon=True).start()


class Siblings:
    """The `count` workers of the torchrun with the process id `parent`."""

    def __init__(self, parent: int, *, count: int) -> None:
        self._parent, self._count, self._since = parent, count, float("inf")

    def long_gone(self) -> bool:
        """Return whether one of them, or torchrun, was gone already in an earlier call, a while ago."""
        now = time.monotonic()
        try:
            living = sum(map(_lives, psutil.Process(self._parent).children()))
        except psutil.NoSuchProcess:
            living = 0
        if living < self._count:
            self._since = min(self._since, now)
        return now - self._since >= MOURNING_SECONDS


def _end_when(gone: Callable[[], bool]) -> None:
    while not gone():
        time.sleep(WATCH_SECONDS)
    os._exit(1)


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
