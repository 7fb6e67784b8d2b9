"""Pack all that a run fetches into one folder, and unpack it on a machine without network.

    fetched/        the fetched files of sources, models and tasks of mteb, as results/.cache/fetched holds them
    local/          files of this machine that stanzas name, by their path
    config/         the run's config, its stanzas and the lock file
    licences.md     rights on every source, model and task
    bundle.json     sha256 of every file

Fetched files are hard-linked where the file system can. Evaluation tasks that are drawn from sources come with these.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from f2llm.config.fetch import Fetch
from f2llm.config.rights import Licence
from f2llm.fetch import pins
from f2llm.fetch.cache import CACHE, link
from f2llm.fetch.hub import LISTING
from f2llm.fetch.pins import PINS
from f2llm.records.errors import InputError
from f2llm.records.files import atomic_folder, atomic_path, check_member_name, read_json, sha256_file, write_json
from f2llm.rows.files import local_files

LIST = "bundle.json"
CONFIG = "config/config.yaml"
MOST_FAULTS = 10


@dataclass(frozen=True, kw_only=True)
class BundleEntry:
    """A source, model or task to be packed: places and rights of its stanza, and the manifest of what was fetched."""

    kind: str  # source | model | task
    name: str
    fetch: tuple[Fetch, ...]
    licence: Licence
    manifest: str  # empty: nothing of it was fetched


def make_bundle(
    entries: Sequence[BundleEntry],
    *,
    config: Mapping[str, Any],
    stanzas: Iterable[str],
    root: str | Path,
    folder: str | Path,
) -> dict[str, int]:
    """Write the bundle of a run to `folder`; return how many files and bytes it holds.

    `config` is the run's config, `stanzas` the files that it names, relative to `root` ("sources/icd_term.yaml").

    Raises:
        InputError: a fetched file is no longer in the store.
    """
    with atomic_folder(folder) as aside:
        faults = []
        for entry in entries:
            for stored in _store_paths(read_json(entry.manifest)["files"]) if entry.manifest else ():
                if (CACHE / stored).is_file():
                    link(CACHE / stored, aside / "fetched" / stored)
                else:
                    faults.append(
                        f"{entry.kind} {entry.name}: {CACHE / stored} is gone; delete {entry.manifest} and run again: "
                        "it is fetched anew"
                    )
            for place in entry.fetch:
                for file in local_files(place.path) if place.path else ():
                    _copy(file, aside / "local" / file)
        if faults:
            raise InputError(faults)
        for name in stanzas:
            _copy(Path(root, name), aside / "config" / name)
        if PINS.is_file():
            _copy(PINS, aside / "config" / PINS.name)
        settings = {key: value for key, value in config.items() if key != "stanzas"}
        (aside / CONFIG).parent.mkdir(exist_ok=True)
        (aside / CONFIG).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
        (aside / "licences.md").write_text(_rights_table(entries), encoding="utf-8")
        files = {str(path.relative_to(aside)): path for path in sorted(aside.rglob("*")) if path.is_file()}
        write_json(aside / LIST, {name: sha256_file(path) for name, path in files.items()})
        return {"files": len(files), "bytes": sum(path.stat().st_size for path in files.values())}


def open_bundle(folder: str | Path) -> list[str]:
    """Put a bundle's files where a run in the working directory looks for them; return the new paths.

    All files are checked first. Existing files stay; one with other content is a fault, but for the lock file,
    whose entries are merged. The run's own config arrives under the name of the run.

    Raises:
        InputError: a file is missing or damaged, or would replace another; nothing was changed then.
    """
    folder = Path(folder)
    if not (folder / LIST).is_file():
        raise InputError(f"{folder}: there is no {LIST} in it; name the folder that the target `bundle` made")
    listed: dict[str, str] = read_json(folder / LIST)
    for name in listed:
        check_member_name(name, where=str(folder / LIST))
    damaged = [
        f"{folder / name}: {'damaged' if (folder / name).is_file() else 'missing'}; copy the bundle again"
        for name, sha256 in listed.items()
        if not (folder / name).is_file() or sha256_file(folder / name) != sha256
    ]
    if damaged:
        raise InputError(damaged[:MOST_FAULTS])
    places = {name: place for name in listed if (place := _target_of(name, folder))}
    differing = [
        f"{place}: there is another file of this name; move it away, or open the bundle in a fresh checkout"
        for name, place in places.items()
        if place.is_file() and sha256_file(place) != listed[name] and place != PINS
    ]
    if differing:
        raise InputError(differing[:MOST_FAULTS])
    _merge_lock(folder / "config" / PINS.name)
    new = [name for name, place in places.items() if not place.is_file()]
    for name in new:
        with atomic_path(places[name]) as aside:
            shutil.copyfile(folder / name, aside)
    return [str(places[name]) for name in new]


def _copy(origin: Path, path: Path) -> None:
    """Copy a file that its owner may edit: a hard link would change with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(origin, path)


def _target_of(name: str, folder: Path) -> Path | None:
    """Path at which a file of the bundle belongs; None for those that are only read."""
    top, _, rest = name.partition("/")
    if name == CONFIG:
        run = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8")).get("run", "bundle")
        check_member_name(f"{run}.yaml", where=str(folder / CONFIG))
        return PINS.parent / f"bundle-{run}.yaml"
    if top == "config":
        return None if rest == PINS.name else PINS.parent / rest
    return {"fetched": CACHE / rest, "local": Path(rest)}.get(top)


def _store_paths(files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Paths in the store of a manifest's files; those of this machine are not in the store."""
    paths = []
    for file in files:
        if file["kind"] == "hub":
            commit = f"hub/{file['package'].replace('/', '--')}/{file['version']}"
            paths += [f"{commit}/{LISTING}", f"{commit}/files/{file['name']}"]
        elif file["kind"] not in ("local", "sql"):
            paths.append(f"{file['sha256']}/{file['name']}")
    return sorted(set(paths))


def _merge_lock(theirs: Path) -> None:
    """Add the bundle's locked entries to ours; if any differ, name all of them and write nothing."""
    if not theirs.is_file():
        return
    content = yaml.safe_load(theirs.read_text(encoding="utf-8")) or {}
    entries = [(kind, key, entry) for kind, places in content.items() for key, entry in places.items()]
    faults = [
        f"{PINS}: {key}: locked here otherwise than in the bundle; open the bundle in a fresh checkout"
        for kind, key, entry in entries
        if pins.entry(kind, key) not in ({}, entry)
    ]
    if faults:
        raise InputError(faults[:MOST_FAULTS])
    for kind, key, entry in entries:
        pins.replace(kind, key, entry)


def _rights_table(entries: Sequence[BundleEntry]) -> str:
    rows = []
    for entry in entries:
        licence = entry.licence
        rows.append(f"| {entry.kind} | {entry.name} | {licence.id} | {licence.commercial} | {_cell(licence.note)} |")
    head = ["# Rights", "", "| | name | licence | commercial use | note |", "|---|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
