"""Locks that the operating system gives back when their process ends, however it ends (flock).

They hold between the processes of one machine. A file system over a network may not carry them: the lock of a whole
run, which may be shared by hosts, is therefore a file of its own kind (`f2llm.jobs.lock`).
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


def take(path: str | Path) -> int | None:
    """Take the lock on a file, made where it is missing, or on a folder; None while another holder has it.

    The result is a file descriptor: closing it, like the end of the process, gives the lock back.
    """
    flags = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return handle


def take_several(paths: Sequence[Path], count: int) -> dict[Path, int]:
    """Take the first `count` free locks: path -> file descriptor; none at all where fewer are free.

    All or nothing, so that two processes never wait for each other.
    """
    held: dict[Path, int] = {}
    for path in paths:
        handle = take(path)
        if handle is not None:
            held[path] = handle
        if len(held) == count:
            return held
    for handle in held.values():
        os.close(handle)
    return {}


@contextlib.contextmanager
def hold_several(paths: Sequence[Path], *, count: int, look_seconds: float) -> Iterator[list[Path]]:
    """Hold `count` of some locks, whichever are free first, while the block runs; looks again after `look_seconds`."""
    while not (held := take_several(paths, count)):
        time.sleep(look_seconds)
    try:
        yield list(held)
    finally:
        for handle in held.values():
            os.close(handle)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on a file while the block runs; waits until it is free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
