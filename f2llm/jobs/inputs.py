"""Whether what a job is about to read is what the jobs before it wrote, by the hashes in their manifests."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path, write_json
from f2llm.records.hashes import changed_files, kept_sha256

MANIFESTS = Path("results", "lineage", "jobs")
INDEX = Path(".cache", "makers.json")  # what the manifests say of outputs; may be deleted at any time


class Made(NamedTuple):
    """What a manifest says of one output of its job."""

    sha256: str
    maker: str  # rule and unit of the job
    manifest: str


def hashes_of_inputs(
    paths: Iterable[str | Path], *, manifests: Path = MANIFESTS, index: Path = INDEX
) -> dict[str, str]:
    """sha256 of each input (file or folder), each as its maker recorded it.

    An input that no manifest knows is hashed alone. Hashes are kept (`f2llm.records.hashes`), and so is what the
    manifests say, in the file `index`: a manifest is read again only when it has changed.

    Raises:
        InputError: all inputs that are not what their makers wrote.
    """
    hashes = {str(path): kept_sha256(path) for path in paths}
    differing = _differing(hashes, _made(manifests, index) if hashes else {})
    if differing:
        # What was kept may itself be damaged: nothing is refused that was not read and hashed anew.
        index.unlink(missing_ok=True)
        hashes |= {path: sha256_path(path) for path in differing}
        differing = _differing({path: hashes[path] for path in differing}, _made(manifests, index))
    if differing:
        raise InputError([_changed(path, made) for path, made in differing.items()])
    return hashes


def _differing(hashes: Mapping[str, str], made: Mapping[str, Sequence[Made]]) -> dict[str, Made]:
    """The paths that have another hash than every manifest says; several runs may write one file in turn."""
    known = {path: made[path] for path in hashes if path in made}
    return {
        path: outputs[0] for path, outputs in known.items() if all(output.sha256 != hashes[path] for output in outputs)
    }


def refuse_changed(hashes: Mapping[str, str]) -> None:
    """Refuse inputs that are no longer what they were when the job began.

    Raises:
        InputError: names all of them.
    """
    faults = [
        f"{path}: was changed while this job read it; run the same command again"
        for path, sha256 in hashes.items()
        if not os.path.exists(path) or kept_sha256(path) != sha256
    ]
    if faults:
        raise InputError(faults)


def _changed(path: str, made: Made) -> str:
    return (
        f"{path}: is not what {made.maker} wrote{changed_files(path)} ({made.manifest} has another sha256); "
        f"make it anew with `snakemake --cores all --force {path}` (and your --configfile), then run the same command "
        "again"
    )


def _made(manifests: Path, index: Path) -> dict[str, list[Made]]:
    """Output -> what the manifests say of it."""
    made: dict[str, list[Made]] = {}
    for manifest, (_, maker, outputs) in _indexed(manifests, index).items():
        for output, sha256 in outputs.items():
            made.setdefault(output, []).append(Made(sha256, maker, manifest))
    return made


def _indexed(manifests: Path, index: Path) -> dict[str, list[Any]]:
    """Manifest -> its state on disk, its job, and its outputs with their sha256."""
    before: dict[str, list[Any]] = {}
    with contextlib.suppress(OSError, ValueError):  # none yet, or damaged
        before = dict(read_json(index))
    after = {}
    for path, state in _states(manifests):
        known = before.get(path)
        if not (isinstance(known, list) and known[:1] == [state]):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # no manifest
                content = read_json(path)
                maker = " ".join([content["rule"], *map(str, content["wildcards"].values())])
                known = [state, maker, dict(content["outputs"])]
        if known:
            after[path] = known
    if after != before:
        with contextlib.suppress(OSError):
            write_json(index, after)
    return after


def _states(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Path of each manifest, with what changes when it is written anew."""
    for path in sorted(folder.rglob("*.json")):
        with contextlib.suppress(OSError):  # of a job that is being made again
            stat = path.stat()
            yield str(path), [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
