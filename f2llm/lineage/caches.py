"""Checks of what is no declared output and carries hashes of its own: checkpoints and stored vectors."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from f2llm.lineage.findings import CHANGED, INTACT, UNCHECKED, Finding
from f2llm.records.files import read_json, sha256_file

CHECKPOINT, MODEL = "checkpoint.json", "f2llm.json"
NAME_DIGITS = 24  # of the hash in a shard's name, as f2llm/encode/store.py makes it
SUFFIXES = (".f16", ".f32")


def cache_checks(run: Path, *, stores: Sequence[Path], results: Path) -> list[Callable[[], list[Finding]]]:
    """Return a check for each checkpoint in a run's folder, and for each shard of the vectors in some stores."""
    checkpoints = sorted((run / "checkpoints").glob("*/step_*"))
    shards = [path for folder in stores for path in sorted(folder.rglob("shard_*.json"))]
    checks: list[Callable[[], list[Finding]]] = [
        lambda path=path: [check_checkpoint(path, model=run / "model" / MODEL, results=results)] for path in checkpoints
    ]
    checks += [lambda path=path: [check_shard(path, results=results)] for path in shards]
    return checks


def check_checkpoint(path: Path, *, model: Path, results: Path) -> Finding:
    """Return whether a checkpoint has the files and hashes that it was saved with, and is of the model's training."""
    name = _name(path, results)
    try:
        about = read_json(path / CHECKPOINT)
        files = dict(about["files"])
        wrong = [file for file, sha256 in files.items() if not _has(path / file, sha256)]
        wrong += [] if path.name == f"step_{about['step']:06d}" else [CHECKPOINT]
        identity = about["identity"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Finding(CHANGED, f"{name}/{CHECKPOINT}", f"cannot be read ({type(error).__name__})")
    wrong += [file.name for file in sorted(path.iterdir()) if file.name not in {*files, CHECKPOINT}]
    if wrong:
        return Finding(CHANGED, f"{name}/{wrong[0]}", "is not as it was saved")
    if _digests(model) != identity:
        return Finding(UNCHECKED, name, "its files are as saved, but it is of another training than the model")
    return Finding(INTACT, name, "as it was saved")


def _digests(model: Path) -> object:
    try:
        return read_json(model)["digests"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_shard(path: Path, *, results: Path) -> Finding:
    """Return whether a shard of vectors has the content that its name is the hash of."""
    name = _name(path, results)
    try:
        about = read_json(path)
        ids = path.with_suffix(".ids").read_bytes()
        rows = next(
            (path.with_suffix(suffix).read_bytes() for suffix in SUFFIXES if path.with_suffix(suffix).is_file()), b""
        )
        digest = hashlib.sha256(about["key"].encode() + ids + rows).hexdigest()[:NAME_DIGITS]
        wrong = [
            file
            for file, content, key in (("ids", ids, "ids_sha256"), ("rows", rows, "sha256"))
            if hashlib.sha256(content).hexdigest() != about[key]
        ]
        size = len(ids) == 16 * about["count"] and len(rows) in (n * about["count"] * about["dim"] for n in (2, 4))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Finding(CHANGED, name, f"cannot be read ({type(error).__name__})")
    if wrong or digest != path.stem.removeprefix("shard_") or not size:
        return Finding(CHANGED, name, f"its {' and '.join(wrong) or 'description'} changed since it was written")
    return Finding(INTACT, name, "as it was written")


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


def _name(path: Path, results: Path) -> str:
    return str(Path("results", path.relative_to(results)))
