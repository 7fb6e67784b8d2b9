"""Fetched files that a source came from: its own, those of the store that they are linked from, and other copies."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.records.files import read_json, sha256_file
from f2llm.runs.layout import Layout

STORE = Path(".cache", "fetched")  # below results, as f2llm/sources/cache.py has it
LIST = "manifest.json"


class Copy(NamedTuple):
    """A further place of a fetched file; it is kept for `users`, the other sources and models that have the file."""

    path: Path
    users: list[str]


def own_files(layout: Layout, name: str) -> list[Path]:
    """Return the files of a source as its jobs read them."""
    folder = layout.source(name) / "raw"
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".snakemake"))


def copies(layout: Layout, files: Mapping[str, Collection[str] | None]) -> list[Copy]:
    """Return where else fetched files lie: those of `files`, source -> names, or all of a source for None."""
    own = [
        one
        for name, names in files.items()
        for one in _files(layout.source(name))
        if names is None or one["name"] in names
    ]
    users: dict[str, set[str]] = {one["sha256"]: set() for one in own}
    found = []
    for path in [path for kind in ("sources", "models") for path in sorted(layout.results.glob(f"{kind}/*/{LIST}"))]:
        user = f"{path.parts[-3].removesuffix('s')} {path.parent.name}"
        if path.parent in {layout.source(name) for name in files}:
            continue
        for one in _files(path.parent):
            if one["sha256"] in users:
                users[one["sha256"]].add(user)
                raw = path.parent / "raw" / one["name"]
                found += [Copy(raw, [user])] if raw.is_file() else []
    stored = _stored(layout.results / STORE, {one["sha256"]: one["bytes"] for one in own})
    return [*(Copy(path, sorted(users[sha256])) for path, sha256 in stored), *found]


def delete_copies(results: Path, found: Sequence[Copy]) -> None:
    """Delete those that no other source or model has, and folders that are empty then."""
    for path in (one.path for one in found if not one.users):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == results / STORE or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


def _files(folder: Path) -> list[dict[str, Any]]:
    path = folder / LIST
    return [one for one in read_json(path).get("files", []) if "sha256" in one] if path.is_file() else []


def _stored(store: Path, wanted: dict[str, int]) -> Iterator[tuple[Path, str]]:
    for path in sorted(store.rglob("*")):
        if path.is_file() and path.stat().st_size in wanted.values():
            sha256 = sha256_file(path)
            if sha256 in wanted:
                yield path, sha256
