"""Files that forgetting has to delete itself: fetched files, wherever they lie, and pages that no job makes again."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.records.files import FETCHED, MANIFEST, read_json, sha256_file
from f2llm.runs.layout import Layout
from f2llm.runs.manifests import local, read_jobs

# Below results: `f2llm report` and `compare` write there undeclared; the target `ablate` declares what it makes.
REPORT, ABLATIONS = "report", "ablations"


class Copy(NamedTuple):
    """A further place of a fetched file; it is kept for `users`, the other sources and models that have the file."""

    path: Path
    users: list[str]


def own_files(layout: Layout, files: Mapping[str, Collection[str] | None]) -> list[Path]:
    """Fetched files as the jobs of their sources read them: those of `files`, as `copies` takes them."""
    paths = []
    for name, names in files.items():
        folder = layout.source(name) / "raw"
        fetched = (path for path in sorted(folder.rglob("*")) if path.is_file())
        paths += [path for path in fetched if names is None or str(path.relative_to(folder)) in names]
    return [path for path in paths if not path.name.startswith(".snakemake")]


def copies(layout: Layout, files: Mapping[str, Collection[str] | None]) -> list[Copy]:
    """Where else fetched files lie: those of `files`, source -> names, or all of a source for None."""
    wanted = [
        entry
        for name, names in files.items()
        for entry in _entries(layout.source(name))
        if names is None or entry["name"] in names
    ]
    users: dict[str, set[str]] = {entry["sha256"]: set() for entry in wanted}
    # The same files may be those of other sources and models, which keep theirs, and what the store has of them.
    elsewhere = []
    own_folders = {layout.source(name) for name in files}
    manifests = [path for kind in ("sources", "models") for path in sorted(layout.results.glob(f"{kind}/*/{MANIFEST}"))]
    for folder in (path.parent for path in manifests if path.parent not in own_folders):
        user = f"{folder.parent.name.removesuffix('s')} {folder.name}"
        for entry in _entries(folder):
            if entry["sha256"] in users:
                users[entry["sha256"]].add(user)
                raw = folder / "raw" / entry["name"]
                elsewhere += [Copy(raw, [user])] if raw.is_file() else []
    stored = _stored(layout.results / FETCHED, {entry["sha256"]: entry["bytes"] for entry in wanted})
    return [*(Copy(path, sorted(users[sha256])) for path, sha256 in stored), *elsewhere]


def delete_copies(results: Path, listed: Sequence[Copy]) -> None:
    """Delete those that no other source or model has, and folders that are empty then."""
    for path in (copy.path for copy in listed if not copy.users):
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == results / FETCHED or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()


def _entries(folder: Path) -> list[dict[str, Any]]:
    """The files that the manifest in a folder lists with their hash."""
    path = folder / MANIFEST
    return [entry for entry in read_json(path).get("files", []) if "sha256" in entry] if path.is_file() else []


def _stored(store: Path, wanted: dict[str, int]) -> Iterator[tuple[Path, str]]:
    """Yield (path, sha256) of the wanted files, sha256 -> bytes, in the store; only files of these sizes are hashed."""
    for path in sorted(store.rglob("*")):
        if path.is_file() and path.stat().st_size in wanted.values():
            sha256 = sha256_file(path)
            if sha256 in wanted:
                yield path, sha256


def own_pages(results: Path) -> list[Path]:
    """Pages that a person had made beside a run: what lies right below report and ablations and no job declares."""
    declared = {local(name, results=results) for job in read_jobs(results) for name in job.outputs}
    return [
        path
        for path in sorted([*results.glob(f"{REPORT}/*"), *results.glob(f"{ABLATIONS}/*/*")])
        if declared.isdisjoint([path, *path.parents]) and not any(path in output.parents for output in declared)
    ]


def delete_pages(results: Path) -> None:
    """Delete these pages: they may show what was forgotten, cut short, so that no search for the text finds it."""
    for path in own_pages(results):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
