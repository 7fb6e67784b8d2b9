"""Fetch the files of a source or model: from the package index, a hub, URLs, or files and databases here.

Every file is checked before anything reads it: against the sha256 of its stanza, the hub's own
listing, or the lock file, which keeps the hashes of the first fetch. Fetched files are kept in a store below
`results/.cache/fetched/` (`f2llm.fetch.cache`), so that one shared by several sources is
downloaded once, and hard-linked from there.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.build import plain
from f2llm.config.fetch import Fetch, Order
from f2llm.fetch import hub, web
from f2llm.fetch.cache import CACHE, PART, Stored, link
from f2llm.fetch.databases import write_snapshot
from f2llm.fetch.packages import download_wheel
from f2llm.fetch.retry import is_offline
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_folder, atomic_path, clear_left_overs, sha256_file, sha256_files, write_json
from f2llm.records.locks import locked
from f2llm.rows.files import list_files, stays_below

logger = logging.getLogger(__name__)


class Fetched(NamedTuple):
    """One fetched file, as the manifest records it. `name` is relative to the raw folder."""

    kind: str
    package: str  # distribution, "datasets/owner/name" of the hub, URL, or path of the database
    version: str  # of the distribution; commit of the repository; sha256 of the database
    name: str
    bytes: int
    sha256: str


def fetch_source(source: Order, *, raw: str | Path, manifest: str | Path, on_error: str) -> dict[str, Any]:
    """Put the files of a source into the folder `raw`, write the manifest, and return the counts.

    The manifest holds source, task, licence and `files`, a list of `Fetched`, and `remarks` on them if there are any.
    With `on_error` "skip" a source that cannot be fetched gives an empty folder and a manifest with `skipped`, the
    reason.

    Raises:
        InputError: a file is missing or has changed, if `on_error` is "fail".
    """
    content = {"source": source.name, "task": source.task, "licence": plain(source.licence)}
    counts: dict[str, Any] = {}
    clear_left_overs(Path(raw).parent)
    with atomic_folder(raw) as aside:
        try:
            files = fetch_files(source.fetch, aside, owner=f"source {source.name}")
        except InputError as error:
            if on_error != "skip":
                raise
            logger.warning("source %s is skipped: %s", source.name, error)
            shutil.rmtree(aside)
            aside.mkdir()
            files, content["skipped"], counts["skipped"] = [], str(error), str(error)
    if remarks := remarks_on(files):
        logger.warning("source %s: %s", source.name, "; ".join(remarks))
        content["remarks"] = counts["remarks"] = remarks
    write_json(manifest, content | {"files": [file._asdict() for file in files]})
    return {"files": len(files), "bytes": sum(file.bytes for file in files)} | counts


def remarks_on(files: Sequence[Fetched]) -> list[str]:
    """What a reader of the results has to know of fetched files: splits that the hub converted in part."""
    partial: dict[str, set[str]] = {}
    for file in files:
        if file.kind == "hub":
            partial.setdefault(file.package, set()).update(hub.partial_splits([file.name]))
    stops = "a part of the data, since the hub's conversion to Parquet stops at 5 GB"
    return [f"{package}: {', '.join(sorted(splits))}: {stops}" for package, splits in partial.items() if splits]


def fetch_files(fetch: Sequence[Fetch], folder: str | Path, *, owner: str) -> list[Fetched]:
    """Put all files of a stanza into `folder`, checked, and return what they are.

    `owner` ("source icd_term") names the stanza in errors. Paths of the kinds `local` and `sql` are
    relative to the working directory. What the stanza leaves open is locked in the file `pins`.

    Raises:
        InputError: a file is missing, has another hash than is pinned, or has the name of another
            file of the same stanza; offline: one fault for each file that would have to be fetched.
    """
    if is_offline() and (faults := [line for place in fetch for line in missing_offline(place, owner=owner)]):
        raise InputError(faults)
    fetched: list[Fetched] = []
    for place in fetch:
        files = _fetch_place(place, Path(folder), owner=owner)
        taken = {file.name for file in fetched} & {file.name for file in files}
        if taken:
            raise InputError(f"{owner}: two files are named {min(taken)!r}; rename one of them")
        fetched += files
    return fetched


def _fetch_place(fetch: Fetch, folder: Path, *, owner: str) -> list[Fetched]:
    if fetch.kind == "local":
        return _copy_local(fetch, folder, owner)
    if fetch.kind == "sql":
        return [_ask_database(fetch, folder, owner)]
    name, version = fetch.package, fetch.version
    if fetch.kind == "package":
        wheel = cached_wheel(fetch, owner=owner)
        stored = [Stored(wheel, wheel.name, fetch.sha256)]
    elif fetch.kind == "hub":
        version, stored = hub.hub_files(fetch, owner=owner)
        name = f"{fetch.repository_type}s/{fetch.repository}"
    else:
        name, stored = fetch.url, [web.web_file(fetch, owner=owner)]
    for file in stored:
        link(file.path, folder / file.name)
    return [Fetched(fetch.kind, name, version, file.name, file.path.stat().st_size, file.sha256) for file in stored]


def missing_offline(fetch: Fetch, *, owner: str) -> list[str]:
    """One line for each file of a repository or URL that cannot be had without the network."""
    ask = {"hub": hub.missing_offline, "http": web.missing_offline}.get(fetch.kind)
    return ask(fetch, owner=owner) if ask else []


def cached_wheel(fetch: Fetch, *, owner: str) -> Path:
    """Path of a wheel in the cache; it is downloaded if it is missing or damaged.

    One process at a time fills an entry; the others wait for it. A process that dies meanwhile
    leaves a folder that the next one clears.
    """
    entry, partial = CACHE / fetch.sha256, CACHE / f".{fetch.sha256}{PART}"
    with locked(CACHE / f".{fetch.sha256}.lock"):
        for wheel in sorted(entry.glob("*.whl")):
            if sha256_file(wheel) == fetch.sha256:
                return wheel
        for left_over in (entry, partial):
            shutil.rmtree(left_over, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            wheel = download_wheel(fetch, partial, owner=owner)
            _check_sha256(sha256_file(wheel), fetch.sha256, file=wheel.name, owner=owner)
            os.replace(partial, entry)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return entry / wheel.name


def _copy_local(fetch: Fetch, folder: str | Path, owner: str) -> list[Fetched]:
    """Copy a local file or folder: a hard link would change when the user edits the original."""
    origin = local_path(fetch.path, owner=owner)
    listing = list_files(origin)
    if listing.faults:
        raise InputError([f"{owner}: {fault}" for fault in listing.faults])
    if listing.remark:
        logger.warning("%s: %s", owner, listing.remark)
    if fetch.sha256:
        digest = sha256_file(origin) if origin.is_file() else sha256_files(origin, listing.files)
        _check_sha256(digest, fetch.sha256, file=fetch.path, owner=owner)
    root = origin.parent
    copied = []
    for file in listing.files:
        name = str(file.relative_to(root))
        with atomic_path(Path(folder) / name) as aside:
            shutil.copyfile(file, aside)
        copied.append(Fetched("local", "", "", name, file.stat().st_size, sha256_file(Path(folder) / name)))
    return copied


def _ask_database(fetch: Fetch, folder: Path, owner: str) -> Fetched:
    """Keep the rows of the query; a pinned sha256 is that of the database."""
    origin = local_path(fetch.path, owner=owner)
    database = sha256_file(origin) if origin.is_file() else ""
    if fetch.sha256:
        _check_sha256(database, fetch.sha256, file=fetch.path, owner=owner)
    path = write_snapshot(fetch, origin, folder, owner=owner)
    if sha256_file(origin) != database:
        raise InputError(
            f"{owner}: {fetch.path}: was changed while it was read; close what writes to it, and run again"
        )
    return Fetched("sql", fetch.path, database, path.name, path.stat().st_size, sha256_file(path))


def local_path(path: str, *, owner: str) -> Path:
    """`path`, once it is known to lie below the working directory.

    Raises:
        InputError: no such file or folder, or it lies outside the working directory.
    """
    here = Path.cwd().resolve()
    if not stays_below(path):
        raise InputError(f"{owner}: {path}: lies outside {here}; copy or mount it below the working directory")
    if not Path(path).exists():
        raise InputError(
            f"{owner}: {path}: there is no such file or folder below {here}; correct `path` or put it there"
        )
    return Path(path)


def _check_sha256(actual: str, pinned: str, *, file: str, owner: str) -> None:
    if actual != pinned:
        raise InputError(
            f"{owner}: {file}: sha256 is {actual}, the stanza pins {pinned}; the file has changed: look at it, "
            "then pin its new hash or restore the old file"
        )
