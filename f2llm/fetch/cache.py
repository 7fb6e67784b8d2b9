"""The store of fetched files, shared by all sources and models of a results folder.

    results/.cache/fetched/<sha256>/<name>            wheels and files of URLs, by content
    results/.cache/fetched/.<key>.download/           what is unfinished, kept so that a killed job goes on
    results/.cache/fetched/hub/<repository>/<commit>/ files of the hub, with the hub's listing

Files are hard-linked from here. One process at a time fills an entry, and a few at a time talk to
one host; these locks end with the process that holds them.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from f2llm.records.files import FETCHED, atomic_path
from f2llm.records.locks import hold_several

CACHE = Path("results", FETCHED)
PART = ".part"
CONNECTIONS_PER_HOST = 4
SECONDS_BETWEEN_LOOKS = 0.2


class Stored(NamedTuple):
    """A verified file in the store; `name` is relative to the folder that a source's files are put into."""

    path: Path
    name: str
    sha256: str


@contextlib.contextmanager
def host_slot(url: str) -> Iterator[None]:
    """Hold one of the few connections to the host of `url`; wait until one is free."""
    folder = CACHE / ".hosts"
    folder.mkdir(parents=True, exist_ok=True)
    host = (urlsplit(url).hostname or "unknown").replace(":", "_")
    slots = [folder / f"{host}.{number}" for number in range(CONNECTIONS_PER_HOST)]
    with hold_several(slots, count=1, look_seconds=SECONDS_BETWEEN_LOOKS):
        yield


def link(origin: Path, path: Path) -> None:
    """Hard-link `origin` to `path`; copy it where the file system cannot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(origin, path)
    except OSError:
        with atomic_path(path) as aside:
            shutil.copyfile(origin, aside)
