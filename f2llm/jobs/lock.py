"""One live run for one results folder: a lock that knows when its owner is dead.

Snakemake's own lock survives kill -9 and then has to be removed by hand, so the profiles turn
it off (`nolock`) and this one stands in: it names host, process, start time and folder, refuses a
second live run, and is taken over from a process that no longer exists, or that runs in the folder
of which this one is a copy. It is no flock (`f2llm.records.locks`), since a file system that
several hosts share may not carry one.
"""

import atexit
import json
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from f2llm.records.errors import InputError

STARTED_TOLERANCE_SECONDS = 2.0  # process start times are rounded differently by different readers


class Owner(NamedTuple):
    """Who holds the lock, and of which folder.

    `started` is seconds since the epoch. A folder is known by its inode: hosts may mount it under different paths,
    and it may be moved during a run. Locks of older versions name no folder, and are taken for those of their own.
    """

    host: str
    process: int
    started: float
    folder: str = ""
    inode: int | None = None


def acquire(path: str | Path) -> None:
    """Take the lock for this process until it ends; take it over from a dead one.

    Raises:
        InputError: another run is alive, or runs on another host where it cannot be asked.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    this_process = _this_process(path)
    while True:
        try:
            with open(path, "x", encoding="utf-8") as file:
                json.dump(this_process._asdict(), file)
            atexit.register(release, path)
            return
        except FileExistsError:
            owner = _read(path)
            if owner == this_process:
                return
            if owner is not None and _is_of(owner, path):
                _refuse_if_alive(owner, path)
            _remove(path, owner)


def release(path: str | Path) -> None:
    """Give the lock back if this process holds it."""
    path = Path(path)
    if path.parent.is_dir() and _read(path) == _this_process(path):
        path.unlink(missing_ok=True)


def is_held(path: str | Path) -> bool:
    """Whether a live run holds the lock; one of another host, which cannot be asked, is taken for alive."""
    owner = _read(Path(path))
    if owner is None or not _is_of(owner, Path(path)):
        return False
    return owner.host != platform.node() or is_alive(owner.process, started=owner.started)


def is_alive(process: int, *, started: float) -> bool:
    """Whether the process of this host that started then still lives; a later one may have its number."""
    try:
        return abs(psutil.Process(process).create_time() - started) <= STARTED_TOLERANCE_SECONDS
    except psutil.Error:
        return False


def _is_of(owner: Owner, path: Path) -> bool:
    """Whether a lock was written in the folder in which it lies, and did not come with a copy of another."""
    return owner.inode is None or owner.inode == path.parent.stat().st_ino


def _refuse_if_alive(owner: Owner, path: Path) -> None:
    if owner.host != platform.node():
        raise InputError(
            f"{path}: a run on another host (process {owner.process}, since {_clock(owner.started)}) holds these "
            "results; wait for it, or delete this file if you know that it is gone"
        )
    if is_alive(owner.process, started=owner.started):
        raise InputError(
            f"{path}: process {owner.process} (since {_clock(owner.started)}) is running on these results; "
            "wait for it or stop it, then run the same command again"
        )


def _remove(path: Path, owner: Owner | None) -> None:
    """Delete the lock of a dead owner, unless somebody else has just taken it over."""
    if _read(path) == owner:
        path.unlink(missing_ok=True)


def _read(path: Path) -> Owner | None:
    """Owner of a lock; None if the file is gone or was torn by a crash."""
    try:
        return Owner(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _this_process(path: Path) -> Owner:
    folder, started = path.parent.resolve(), round(psutil.Process().create_time(), 2)
    return Owner(platform.node(), os.getpid(), started, folder=str(folder), inode=folder.stat().st_ino)


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
