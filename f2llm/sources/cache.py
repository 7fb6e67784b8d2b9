"""The store of fetched files, shared by all sources and models of a results folder.

    results/.cache/fetched/<sha256>/<name>            wheels and files of URLs, by content
    results/.cache/fetched/.<key>.download/           what is half here, kept so that a killed job goes on
    results/.cache/fetched/hub/<repository>/<commit>/ files of the hub, with the hub's listing

Files are hard-linked from here. One process at a time fills one entry; a few at a time talk to one
host. Both hold across processes, and end with them.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from f2llm.records.files import atomic_path

CACHE = Path("results/.cache/fetched")
PART = ".part"
CONNECTIONS_PER_HOST = 4
SECONDS_BETWEEN_LOOKS = 0.2


class Stored(NamedTuple):
    """A verified file in the store; `name` is relative to the folder that a source's files are put into."""

    path: Path
    name: str
    sha256: str


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the operating system gives back when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def host_slot(url: str, *, cache: Path = CACHE) -> Iterator[None]:
    """Hold one of the few connections to the host of `url`; wait until one is free."""
    folder = cache / ".hosts"
    folder.mkdir(parents=True, exist_ok=True)
    host = (urlsplit(url).hostname or "unknown").replace(":", "_")
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / f"{host}.{n}", "w")) for n in range(CONNECTIONS_PER_HOST)]
        while not any(_taken(file.fileno()) for file in files):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        yield


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def link(origin: Path, path: Path) -> None:
    """Hard-link `origin` to `path`; copy it where the file system cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(origin, path)
    except OSError:
        with atomic_path(path) as aside:
            shutil.copyfile(origin, aside)
