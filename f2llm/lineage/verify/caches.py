"""Checks of what is no declared output and carries hashes of its own: checkpoints and stored vectors."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.config.variants import digest
from f2llm.lineage.verify.findings import CHANGED, INTACT, UNCHECKED, UNHASHED, Finding
from f2llm.lineage.verify.sample import EVERYTHING, HashSample
from f2llm.records.files import read_json, sha256_file
from f2llm.vectors.fill import DESCRIPTION, store_key

CHECKPOINT, MODEL = "checkpoint.json", "f2llm.json"
NAME_DIGITS = 24  # of the hash in a shard's name, as f2llm/vectors/store.py makes it
MOST_LOGS = 2  # of one training: metrics and validation
SUFFIXES = (".f16", ".f32")


def cache_checks(
    run: Path, *, stores: Sequence[Path], results: Path, sample: HashSample = EVERYTHING
) -> list[Callable[[], list[Finding]]]:
    """Return a check for each checkpoint in a run's folder, and for each shard of the vectors in some stores."""
    checkpoints = sorted((run / "checkpoints").glob("*/step_*"))
    shards = [path for folder in stores for path in sorted(folder.rglob("shard_*.json"))]
    checks: list[Callable[[], list[Finding]]] = [
        (lambda path=path: [check_checkpoint(path, model=run / "model" / MODEL, results=results)])
        if sample.takes(_name(path, results))
        else (lambda path=path: [Finding(UNHASHED, _name(path, results), "no size is recorded of its files")])
        for path in checkpoints
    ]
    checks += [
        (lambda path=path: [check_shard(path, results=results)])
        if sample.takes(_name(path, results))
        else (lambda path=path: [check_shard_size(path, results=results)])
        for path in shards
    ]
    encoders = [path for folder in stores for path in sorted(folder.rglob(DESCRIPTION))]
    checks += [lambda path=path: [check_encoder(path, results=results)] for path in encoders]
    logs = [(path, run / f"{path.stem}.parquet") for path in sorted((run / "checkpoints").glob("*/*.jsonl"))]
    checks += [lambda pair=pair: [check_log(*pair, results=results)] for pair in logs]
    return checks


def check_checkpoint(path: Path, *, model: Path, results: Path) -> Finding:
    """Return whether a checkpoint has the files and hashes that it was saved with, and is of the model's training."""
    name = _name(path, results)
    try:
        about = read_json(path / CHECKPOINT)
        files = dict(about["files"])
        wrong = [file for file, sha256 in files.items() if not _has(path / file, sha256)]
        identity = about["identity"]
        named = path.name == f"step_{about['step']:06d}" and path.parent.name == digest(identity)
        wrong += [] if named else [CHECKPOINT]
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


def check_log(path: Path, table: Path, *, results: Path) -> Finding:
    """Return whether the rows that training appended are those of the table that was made of them."""
    name = _name(path, results)
    if not table.is_file():
        return Finding(UNCHECKED, name, f"carries no hash, and {table.name} is not there to compare it with")
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        same = pa.Table.from_pylist(rows, schema=pq.read_schema(table)).equals(pq.read_table(table))
    except (ValueError, pa.ArrowException, OSError) as error:
        return Finding(CHANGED, name, f"cannot be read ({type(error).__name__})")
    if not same and path.parent.parent.exists() and len(list(path.parent.parent.glob("*/*.jsonl"))) > MOST_LOGS:
        return Finding(UNCHECKED, name, "several trainings have logs here, and the table is of one of them")
    return Finding(INTACT if same else CHANGED, name, f"{'has' if same else 'has not'} the rows of {table.name}")


def check_encoder(path: Path, *, results: Path) -> Finding:
    """Return whether the description of a store's encoder is the one that its folder is named by."""
    name = _name(path, results)
    try:
        about = read_json(path)
        model = about.pop("model")
        same = path.parent.name == store_key(about)
        same = same and path.parent.parent.name.startswith(f"{model}-")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Finding(CHANGED, name, f"cannot be read ({type(error).__name__})")
    return Finding(INTACT if same else CHANGED, name, f"is {'' if same else 'not '}what its folder is named by")


def check_shard(path: Path, *, results: Path) -> Finding:
    """Return whether a shard of vectors has the content that its name is the hash of."""
    name = _name(path, results)
    try:
        about = read_json(path)
        ids = path.with_suffix(".ids").read_bytes()
        rows = next(
            (path.with_suffix(suffix).read_bytes() for suffix in SUFFIXES if path.with_suffix(suffix).is_file()), b""
        )
        named = hashlib.sha256(about["key"].encode() + ids + rows).hexdigest()[:NAME_DIGITS]
        wrong = [
            file
            for file, content, key in (("ids", ids, "ids_sha256"), ("rows", rows, "sha256"))
            if hashlib.sha256(content).hexdigest() != about[key]
        ]
        size = len(ids) == 16 * about["count"] and len(rows) in (n * about["count"] * about["dim"] for n in (2, 4))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Finding(CHANGED, name, f"cannot be read ({type(error).__name__})")
    if wrong or named != path.stem.removeprefix("shard_") or not size:
        return Finding(CHANGED, name, f"its {' and '.join(wrong) or 'description'} changed since it was written")
    return Finding(INTACT, name, "as it was written")


def check_shard_size(path: Path, *, results: Path) -> Finding:
    """Return whether the files of a shard of vectors have the size that it says they have."""
    name = _name(path, results)
    try:
        about = read_json(path)
        ids = path.with_suffix(".ids").stat().st_size
        rows = sum(path.with_suffix(suffix).stat().st_size for suffix in SUFFIXES if path.with_suffix(suffix).is_file())
        size = ids == 16 * about["count"] and rows in (n * about["count"] * about["dim"] for n in (2, 4))
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Finding(CHANGED, name, f"cannot be read ({type(error).__name__})")
    return Finding(UNHASHED if size else CHANGED, name, f"its files have {'' if size else 'not '}the size that it says")


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


def _name(path: Path, results: Path) -> str:
    return str(Path("results", path.relative_to(results)))
