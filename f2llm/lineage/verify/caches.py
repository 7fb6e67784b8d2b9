"""What no job declares: checkpoints, logs and stored vectors, which carry hashes of their own, and foreign files."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.config.build import digest
from f2llm.lineage.verify.findings import CHANGED, INTACT, UNCHECKED, UNHASHED, Finding
from f2llm.lineage.verify.sample import EVERYTHING, HashSample
from f2llm.records.files import TIMESTAMP, read_json, sha256_file
from f2llm.records.ids import ID_BYTES
from f2llm.records.schemas.train import METRICS, VALIDATION
from f2llm.records.terms import terms_of
from f2llm.runs.layout import value_in
from f2llm.runs.manifests import RESULTS, Job, local, named
from f2llm.runs.run_file import CHECKPOINT_FILE, MODEL_FILE
from f2llm.vectors.fill import DESCRIPTION, store_key
from f2llm.vectors.store import NAME_DIGITS, SUFFIXES

STAGES = ("curated", "mined")
LEAST_DEPTH = 3  # parts of the path of a folder that is looked into: results, stage, variant or run
LOGS = {"metrics": METRICS, "validation": VALIDATION}  # of one training


def cache_checks(
    run: Path, *, stores: Sequence[Path], results: Path, sample: HashSample = EVERYTHING
) -> list[Callable[[], Finding]]:
    """One check for each checkpoint and log in a run's folder, and for each encoder and shard of some stores."""
    checks: list[Callable[[], Finding]] = []
    for path in sorted((run / "checkpoints").glob("*/step_*")):
        name = named(path, results=results)
        if sample.takes(name):
            checks.append(partial(check_checkpoint, path, model=run / "model" / MODEL_FILE, results=results))
        else:
            checks.append(partial(Finding, UNHASHED, name, "no size is recorded of its files"))
    for path in (path for folder in stores for path in sorted(folder.rglob("shard_*.json"))):
        check = check_shard if sample.takes(named(path, results=results)) else check_shard_size
        checks.append(partial(check, path, results=results))
    for path in (path for folder in stores for path in sorted(folder.rglob(DESCRIPTION))):
        checks.append(partial(check_encoder, path, results=results))
    for path in sorted((run / "checkpoints").glob("*/*.jsonl")):
        checks.append(partial(check_log, path, run / f"{path.stem}.parquet", results=results))
    return checks


def check_checkpoint(path: Path, *, model: Path, results: Path) -> Finding:
    """Whether a checkpoint has the files and hashes that it was saved with, and is of the model's training."""
    name = named(path, results=results)
    try:
        saved = read_json(path / CHECKPOINT_FILE)
        files = dict(saved["files"])
        wrong = [
            file for file, sha256 in files.items() if not (path / file).is_file() or sha256_file(path / file) != sha256
        ]
        identity = saved["identity"]
        if path.name != f"step_{saved['step']:06d}" or path.parent.name != digest(identity):
            wrong.append(CHECKPOINT_FILE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Finding(CHANGED, f"{name}/{CHECKPOINT_FILE}", f"cannot be read ({type(error).__name__})")
    wrong += [file.name for file in sorted(path.iterdir()) if file.name not in {*files, CHECKPOINT_FILE}]
    if wrong:
        return Finding(CHANGED, f"{name}/{wrong[0]}", "is not as it was saved")
    if value_in(model, "digests") != identity:
        return Finding(UNCHECKED, name, "its files are as saved, but it is of another training than the model")
    return Finding(INTACT, name, "as it was saved")


def _readable(check: Callable[..., Finding]) -> Callable[..., Finding]:
    """A check of a file that is told the file's name, and finds a file changed that cannot be read."""

    @functools.wraps(check)
    def checked(path: Path, *others: Path, results: Path) -> Finding:
        name = named(path, results=results)
        try:
            return check(name, path, *others)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            return Finding(CHANGED, name, f"cannot be read ({type(error).__name__})")

    return checked


@_readable
def check_log(name: str, path: Path, table: Path) -> Finding:
    """Whether the rows that training appended are those of the table that was made of them."""
    if not table.is_file():
        return Finding(UNCHECKED, name, f"carries no hash, and {table.name} is not there to compare it with")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = pq.read_table(table)
    # Older runs have a column a term, in the schema of their time.
    is_long = rows.schema.names == LOGS[path.stem].names
    noted = terms_of(lines, schema=LOGS[path.stem]) if is_long else pa.Table.from_pylist(lines, schema=rows.schema)
    same = noted.equals(rows)
    if not same and path.parent.parent.exists() and len(list(path.parent.parent.glob("*/*.jsonl"))) > len(LOGS):
        return Finding(UNCHECKED, name, "several trainings have logs here, and the table is of one of them")
    return Finding(INTACT if same else CHANGED, name, f"{'has' if same else 'has not'} the rows of {table.name}")


@_readable
def check_encoder(name: str, path: Path) -> Finding:
    """Whether the description of a store's encoder is the one that its folder is named by."""
    description = read_json(path)
    model = description.pop("model")
    same = path.parent.name == store_key(description) and path.parent.parent.name.startswith(f"{model}-")
    return Finding(INTACT if same else CHANGED, name, f"is {'' if same else 'not '}what its folder is named by")


@_readable
def check_shard(name: str, path: Path) -> Finding:
    """Whether a shard of vectors has the content that its name is the hash of."""
    described = read_json(path)
    ids = path.with_suffix(".ids").read_bytes()
    rows = b"".join(file.read_bytes() for file in _row_files(path)[:1])
    digits = hashlib.sha256(described["key"].encode() + ids + rows).hexdigest()[:NAME_DIGITS]
    wrong = [
        file
        for file, content, key in (("ids", ids, "ids_sha256"), ("rows", rows, "sha256"))
        if hashlib.sha256(content).hexdigest() != described[key]
    ]
    fits = _has_sizes(described, ids=len(ids), rows=len(rows))
    if wrong or digits != path.stem.removeprefix("shard_") or not fits:
        return Finding(CHANGED, name, f"its {' and '.join(wrong) or 'description'} changed since it was written")
    return Finding(INTACT, name, "as it was written")


@_readable
def check_shard_size(name: str, path: Path) -> Finding:
    """Whether the files of a shard of vectors have the size that it says they have."""
    rows = sum(file.stat().st_size for file in _row_files(path))
    fits = _has_sizes(read_json(path), ids=path.with_suffix(".ids").stat().st_size, rows=rows)
    return Finding(UNHASHED if fits else CHANGED, name, f"its files have {'' if fits else 'not '}the size that it says")


def _row_files(shard: Path) -> list[Path]:
    files = (shard.with_suffix(suffix) for suffix in SUFFIXES.values())
    return [file for file in files if file.is_file()]


def _has_sizes(described: dict[str, Any], *, ids: int, rows: int) -> bool:
    """Say whether a shard's description fits the bytes of its two files."""
    count, dim = described["count"], described["dim"]
    return ids == ID_BYTES * count and rows in (dtype.itemsize * count * dim for dtype in SUFFIXES)


def undeclared_files(folder: Path, own: Sequence[Job], every: Sequence[Job], *, results: Path) -> Iterator[Finding]:
    """Yield the files that no job declared: in a run's folder, among its scores, cards, curated and mined tables.

    `own` are the run's jobs, `every` those of all runs.
    """
    declared = {local(output, results=results) for job in own for output in job.outputs}
    for path in sorted(folder.iterdir()):
        if path not in declared and path.name != "checkpoints":
            yield Finding(UNCHECKED, named(path, results=results), "no job declares it")
    known = {name for job in every for output in job.outputs for name in (output, *_folders_of(output))}
    looked_into = (*STAGES, f"scores/{folder.name}", f"cards/{folder.name}")
    prefixes = tuple(f"{RESULTS}/{stage}/" for stage in looked_into)
    outputs = {output for job in own for output in job.outputs if output.startswith(prefixes)}
    for holder in sorted({holder for output in outputs for holder in _folders_of(output)}):
        place = local(holder, results=results)
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = f"{holder}/{path.name}"
            if name not in known and path.name != TIMESTAMP:
                yield Finding(UNCHECKED, name, "no job declares it")


def emptied_caches(folder: Path, own: Sequence[Job], *, stores: Mapping[str, Job], results: Path) -> Iterator[Finding]:
    """Yield the folders of vectors and checkpoints that a run's jobs filled and that hold none any more.

    `stores` maps the folders of vectors, as manifests name them, to a job that filled them.
    """
    for name, job in sorted(stores.items()):
        if next(local(name, results=results).rglob("shard_*.json"), None) is None:
            yield Finding(UNCHECKED, name, f"its vectors are gone; {job.rule} put them there")
    trained = any(job.rule == "train_model" and f"{RESULTS}/runs/{folder.name}/model" in job.outputs for job in own)
    if trained and next((folder / "checkpoints").glob("*/step_*"), None) is None:
        yield Finding(
            UNCHECKED, f"{RESULTS}/runs/{folder.name}/checkpoints", "its checkpoints are gone; train_model saved them"
        )


def _folders_of(output: str) -> list[str]:
    """The folders that an output lies in, up to that of its run or variant."""
    return [str(folder) for folder in PurePosixPath(output).parents if len(folder.parts) >= LEAST_DEPTH]
