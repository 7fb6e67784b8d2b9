"""Whether the files of a place are there and may be read, which they are, and how many bytes."""

import io
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.fetch import hub, web
from f2llm.fetch.databases import is_database
from f2llm.fetch.fetch import local_path, missing_offline
from f2llm.fetch.reach import reply_of
from f2llm.fetch.retry import Refused
from f2llm.records.errors import InputError
from f2llm.records.files import bytes_of
from f2llm.records.schemas.probe import ProbedPlace
from f2llm.rows.files import list_files
from f2llm.sources.probe.remote import Budget, RemoteFile

LARGE_BYTES = 20 * 10**9  # of one place; more is worth a remark


class ListedFile(NamedTuple):
    """A file that the stanza names: its name among the source's files, its URL or path, the pattern that names it."""

    name: str
    origin: str
    bytes: int | None  # None where the server does not say
    pattern: str
    place: Fetch


class SeenPlace(NamedTuple):
    """What there is at one place; `licence` is that of the card."""

    facts: ProbedPlace
    files: tuple[ListedFile, ...] = ()
    licence: str = ""
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def look_at(fetch: Fetch, *, owner: str, budget: Budget) -> SeenPlace:
    """What there is at a place of a hub, of a URL or of this machine; what is wrong with it are its `faults`."""
    look = {"hub": _look_at_hub, "http": _look_at_url}.get(fetch.kind, _look_here)
    try:
        if fetch.kind in ("hub", "http") and not (reply := reply_of(fetch)).answers:
            raise InputError(f"{owner}: {reply.where}: {reply.fault}")
        return look(fetch, owner, budget)
    except InputError as error:
        return SeenPlace(ProbedPlace(_name_of(fetch), "", 0, 0, 0), faults=error.faults)


def open_file(file: ListedFile, *, owner: str, budget: Budget) -> BinaryIO:
    """A file as a stream that can be sought in; one of a server is a `RemoteFile`."""
    if file.place.kind not in ("hub", "http"):
        return open(file.origin, "rb", buffering=0)  # type: ignore[return-value] - raw
    what = f"{owner}: {file.name}"

    def refused(error: Refused) -> InputError:
        if file.place.kind == "hub":
            return hub.refused(error.status, error.headers, file.place, owner=owner, what=what)
        return InputError(f"{what}: {error}; correct the URL, or name a mirror that has the file")

    return RemoteFile(file.origin, size=file.bytes, budget=budget, what=what, refused=refused)  # type: ignore[return-value]


def check_access(place: SeenPlace, *, owner: str, budget: Budget) -> list[str]:
    """The fault that a file of the place cannot be read by this user; of the smallest one, one byte is read."""
    files = [file for file in place.files if file.bytes]
    if not files:
        return []
    smallest = min(files, key=lambda file: (file.bytes or 0, file.name))
    try:
        with open_file(smallest, owner=owner, budget=budget) as stream:
            stream.read(1)
    except InputError as error:
        return list(error.faults)
    return []


def _name_of(fetch: Fetch) -> str:
    return hub.pin_key(fetch) if fetch.kind == "hub" else fetch.url or fetch.path


def _look_at_hub(fetch: Fetch, owner: str, _budget: Budget) -> SeenPlace:
    name, revision = hub.pin_key(fetch), hub.wanted_revision(fetch)
    about = hub.repository(fetch, revision=revision, owner=owner)
    faults = hub.denied(about, fetch, owner=owner)
    remarks = [new_name] if (new_name := hub.renamed(about, fetch)) else []
    try:
        entries = hub.listed_files(fetch, commit=about.commit, owner=owner)
    except InputError as error:
        entries, faults = [], [*faults, *error.faults]
    files = tuple(
        ListedFile(
            entry.path,
            hub.url_of(fetch, entry.path, commit=about.commit),
            entry.bytes,
            next(pattern for pattern in fetch.files if fnmatchcase(entry.path, pattern)),
            fetch,
        )
        for entry in entries
    )
    for split in hub.partial_splits(entry.path for entry in entries):
        remarks.append(f"{split}: a part of the data, since the hub's conversion to Parquet stops at 5 GB")
    missing = [entry.bytes for entry in entries if not hub.is_stored(fetch, entry, commit=about.commit)]
    return _seen(name, about.commit, files, sum(missing), licence=about.licence, faults=faults, remarks=remarks)


def _look_at_url(fetch: Fetch, owner: str, budget: Budget) -> SeenPlace:
    """One byte of the first of its URLs that gives one, and what the server says of the size."""
    faults: list[str] = []
    for url in (fetch.url, *fetch.mirrors):
        file = ListedFile(web.file_name(fetch.url, owner=owner), url, None, fetch.url, fetch)
        remarks = []
        try:
            with open_file(file, owner=owner, budget=budget) as stream:
                file = file._replace(bytes=stream.seek(0, io.SEEK_END))
        except web.NoRanges:
            remarks = [f"{url}: the server does not say the file's size"]
        except InputError as error:
            faults += error.faults
            continue
        missing = (file.bytes or 0) if missing_offline(fetch, owner=owner) else 0
        return _seen(fetch.url, "", (file,), missing, remarks=remarks)
    raise InputError(faults)


def _look_here(fetch: Fetch, owner: str, _budget: Budget) -> SeenPlace:
    origin = local_path(fetch.path, owner=owner)
    if fetch.kind == "sql":
        faults = [] if is_database(origin) else [f"{owner}: {fetch.path}: neither a DuckDB nor a SQLite file"]
        facts = ProbedPlace(fetch.path, "", 1, bytes_of(origin), 0)
        return SeenPlace(facts, faults=tuple(faults), remarks=("`f2llm check-source` runs its query",))
    listing = list_files(origin)
    files = tuple(
        ListedFile(str(path.relative_to(Path(origin).parent)), str(path), path.stat().st_size, fetch.path, fetch)
        for path in listing.files
    )
    faults = [f"{owner}: {fault}" for fault in listing.faults]
    if not files:
        faults.append(f"{owner}: {fetch.path}: it holds no files; put them there")
    return _seen(fetch.path, "", files, 0, faults=faults, remarks=[listing.remark] if listing.remark else [])


def _seen(
    name: str, commit: str, files: tuple[ListedFile, ...], missing: int, *, licence: str = "",
    faults: Iterable[str] = (), remarks: Iterable[str] = (),
) -> SeenPlace:  # fmt: skip
    size = sum(file.bytes or 0 for file in files)
    large = [f"{size / 1e9:,.1f} GB of files; name fewer, or a choice of them"] if size > LARGE_BYTES else []
    facts = ProbedPlace(name, commit, len(files), size, missing)
    return SeenPlace(facts, files, licence, tuple(faults), (*remarks, *large))
