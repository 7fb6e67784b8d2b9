"""Whether the files of a place are there and may be read, which they are, and how many bytes."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.errors import InputError
from f2llm.records.files import bytes_of
from f2llm.records.schemas.probe import ProbedPlace
from f2llm.rows.files import list_files
from f2llm.sources import hub, web
from f2llm.sources.databases import is_database
from f2llm.sources.fetch import local_path, missing_offline
from f2llm.sources.probe.remote import Budget, RemoteFile, opened
from f2llm.sources.reach import reply_of

LARGE_BYTES = 20 * 10**9  # of one place; more is worth a remark


class ListedFile(NamedTuple):
    """A file that the stanza names: its name among the source's files, its URL or path, the pattern that names it."""

    name: str
    origin: str
    bytes: int | None  # None where the server does not say
    pattern: str


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


def check_access(place: SeenPlace, *, owner: str, budget: Budget) -> list[str]:
    """The fault that a file of the place cannot be read by this user; of the smallest one, one byte is read."""
    files = [file for file in place.files if file.bytes]
    if not files:
        return []
    smallest = min(files, key=lambda file: (file.bytes, file.name))
    try:
        with opened(
            smallest.origin, size=smallest.bytes, budget=budget, what=f"{owner}: {place.facts.place}: {smallest.name}"
        ) as stream:
            stream.read(1)
    except InputError as error:
        return list(error.faults)
    return []


def _name_of(fetch: Fetch) -> str:
    return hub.pin_key(fetch) if fetch.kind == "hub" else fetch.url or fetch.path


def _look_at_hub(fetch: Fetch, owner: str, _budget: Budget) -> SeenPlace:
    about, name = hub.repository(fetch, owner=owner), hub.pin_key(fetch)
    faults, remarks = [], []
    if about.disabled:
        faults.append(f"{owner}: {name}: the hub has disabled it; take the data from elsewhere")
    if about.gated and not hub.token():
        faults.append(
            f"{owner}: {name}: it is gated; accept its terms on its page, and set HF_TOKEN to a token that may read it"
        )
    if about.name.lower() != fetch.repository.lower():
        remarks.append(f"the repository has moved to {about.name}; name it in `repository`")
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
        )
        for entry in entries
    )
    missing = [entry.bytes for entry in entries if not hub.is_stored(fetch, entry, commit=about.commit)]
    return _seen(name, about.commit, files, sum(missing), licence=about.licence, faults=faults, remarks=remarks)


def _look_at_url(fetch: Fetch, owner: str, budget: Budget) -> SeenPlace:
    """One byte of the first of its URLs that gives one, and what the server says of the size."""
    faults: list[str] = []
    for url in (fetch.url, *fetch.mirrors):
        stream = RemoteFile(url, size=None, budget=budget, what=f"{owner}: {url}")
        try:
            size: int | None = stream.size
        except web.NoRanges:
            size = None
        except InputError as error:
            faults += error.faults
            continue
        file = ListedFile(web.file_name(fetch.url, owner=owner), url, size, fetch.url)
        remarks = [f"{url}: the server does not say the file's size, and sends no part of it"] if size is None else []
        missing = (size or 0) if missing_offline(fetch, owner=owner) else 0
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
        ListedFile(str(path.relative_to(Path(origin).parent)), str(path), path.stat().st_size, fetch.path)
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
