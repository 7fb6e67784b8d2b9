"""`f2llm lock`: fetch what stanzas name, write what they leave open to the lock file, and report what changed."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.fetch import Fetch
from f2llm.config.run import Run
from f2llm.fetch import pins
from f2llm.fetch.cache import CACHE
from f2llm.fetch.fetch import fetch_files
from f2llm.fetch.hub import pin_key
from f2llm.records.errors import InputError


class LockChange(NamedTuple):
    """A commit or sha256 of the lock file before and after; "" where it is absent."""

    what: str
    before: str
    after: str


def lock_files(fetch: Sequence[Fetch], *, owner: str, refresh: bool) -> list[LockChange]:
    """Fetch the files of a stanza, lock what it leaves open, and return what that changed.

    With `refresh` the entries of its places are forgotten first, so that an open revision becomes the
    commit of today. A failure leaves the lock file as it was.

    Raises:
        InputError: a file cannot be fetched; without `refresh`, it is not the one that is locked.
    """
    places = [place for item in fetch if (place := place_of(item))]
    before = {place: pins.entry(*place) for place in places}
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        if refresh:
            for place in places:
                pins.replace(*place, {})
        with tempfile.TemporaryDirectory(prefix=".lock-", suffix=".part", dir=CACHE) as folder:
            fetch_files(fetch, folder, owner=owner)
    except BaseException:
        for place, entry in before.items():
            pins.replace(*place, entry)
        raise
    changes = []
    for place in places:
        old, new = _facts(place[1], before[place]), _facts(place[1], pins.entry(*place))
        whats = sorted(old.keys() | new.keys())
        changes += [LockChange(what, old.get(what, ""), new.get(what, "")) for what in whats]
    return [change for change in changes if change.before != change.after]


def lock_run(run: Run, *, names: Sequence[str], refresh: bool, results: str | Path = "results") -> Iterator[str]:
    """Lock the sources and models of a run (or only `names`), and yield a line for each commit or sha256 that changed.

    A source or model that changed loses its manifest, so that the next run takes the files of today.

    Raises:
        InputError: a name is not of this run, or a file cannot be fetched.
    """
    stanzas = {source.name: ("sources", source.fetch) for source in run.stanzas}
    stanzas |= {model.name: ("models", (model.fetch,)) for model in (run.backbone, run.retriever)}
    unknown = sorted(set(names) - set(stanzas))
    if unknown:
        raise InputError([f"{name}: not a source or model of run {run.run!r}; name one of it" for name in unknown])
    for name in names or sorted(stanzas):
        kind, fetch = stanzas[name]
        changes = lock_files(fetch, owner=f"{kind.removesuffix('s')} {name}", refresh=refresh)
        if changes:
            Path(results, kind, name, "manifest.json").unlink(missing_ok=True)
        yield from (f"{name}: {what}: {before or 'not locked'} -> {after or 'gone'}" for what, before, after in changes)
        if not changes:
            yield f"{name}: as it was"


def place_of(fetch: Fetch) -> tuple[str, str] | None:
    """Kind and key of a place in the lock file; None for places that stanzas pin in full."""
    if fetch.kind == "hub":
        return "hub", pin_key(fetch)
    return ("http", fetch.url) if fetch.kind == "http" and not fetch.sha256 else None


def _facts(key: str, entry: Mapping[str, Any]) -> dict[str, str]:
    facts = {f"{key}: {path}": sha256 for path, sha256 in entry.get("files", {}).items()}
    return facts | {f"{key}: {fact}": entry[fact] for fact in ("revision", "sha256") if fact in entry}
