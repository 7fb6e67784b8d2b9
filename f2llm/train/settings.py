"""What of a run decides its training, and run.json that carries it to the trainer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f2llm.config.build import build, plain
from f2llm.config.licences import Barred
from f2llm.config.models import Model
from f2llm.config.run import Curate, Mine, Run, Tokens, Train
from f2llm.config.sources import Source
from f2llm.errors import InputError
from f2llm.records.files import read_json, sha256_file

# Keys of the train settings that change speed, memory or disk, never the result beyond rounding.
WITHOUT_EFFECT = frozenset(
    {
        "recipe", "compile", "tokens_per_chunk", "activations_mb", "reshard_after_forward", "checkpoint_every",
        "keep_checkpoints", "keep_every", "validation", "processes", "nodes",
    }
)  # fmt: skip
# Elsewhere many tuples of a batch share a class, so that their positives are no negatives of each other.
IN_BATCH_TASKS = frozenset({"retrieval", "sts"})
PLAN_FILE = "plan.parquet"
VALIDATION_PLAN_FILE = "validation_plan.parquet"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The part of a `Run` that decides training: all but what only scoring and the workflow read."""

    run: str
    seed: int
    barred: tuple[Barred, ...]
    sources: tuple[Source, ...]
    backbone: Model
    retriever: Model
    curate: Curate
    mine: Mine
    tokens: Tokens
    train: Train


@dataclass(frozen=True, kw_only=True)
class PlannedSource:
    """A source of the plan: where its tuples and token rows lie, relative to the working directory."""

    name: str
    tuples: str
    tuples_sha256: str
    tokens: str
    tokens_sha256: str  # of meta.json, which holds the sha256 of every token file
    rows: int  # tuples mined
    planned: int = 0  # rows of the plan: a tuple has one in each epoch that draws it


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """The content of run.json."""

    settings: Settings
    backbone_folder: str  # relative to the working directory, as the sources' files
    variants: dict[str, str]  # name of a stage's folder -> its variant key
    steps: int
    longest_sequence: int  # in tokens, of both plans
    plan_sha256: str
    validation_sha256: str
    sources: tuple[PlannedSource, ...]
    left_out: tuple[str, ...]  # sources without tuples to train on


def training_settings(run: Run) -> dict[str, Any]:
    """Return `Settings` of a run as plain JSON, fit for the params of a rule."""
    content = plain(run)
    return {key: content[key] for key in Settings.__dataclass_fields__}


def read_run_file(path: str | Path) -> RunFile:
    """Read run.json and check the plan beside it, all tuples and what describes token rows against their hashes.

    Raises:
        InputError: run.json is missing or damaged, or files changed since it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; run plan_run first (`snakemake {path}`)")
    try:
        content = build(RunFile, read_json(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # no JSON, or that of something else
        raise InputError(f"{path}: this is no file of a run ({error}); run plan_run again") from error
    expected = {path.with_name(PLAN_FILE): content.plan_sha256}
    expected[path.with_name(VALIDATION_PLAN_FILE)] = content.validation_sha256
    for source in content.sources:
        expected[Path(source.tuples)] = source.tuples_sha256
        expected[Path(source.tokens, "meta.json")] = source.tokens_sha256
    faults = [
        f"{file}: {'changed since' if file.is_file() else 'missing, though'} {path} was written; run plan_run again"
        for file, sha256 in expected.items()
        if not file.is_file() or sha256_file(file) != sha256
    ]
    if faults:
        raise InputError(faults)
    return content


def changed_rows(run: RunFile) -> list[str]:
    """Return a fault for each file of token rows without its recorded hash.

    Reads all of them, so one process of a node should.
    """
    return [
        f"{file}: {'changed since' if file.is_file() else 'missing, though'} it was written; run tokenise_source again"
        for folder in (Path(source.tokens) for source in run.sources)
        for file, sha256 in (
            (folder / name, sha256) for name, sha256 in read_json(folder / "meta.json")["files"].items()
        )
        if not file.is_file() or sha256_file(file) != sha256
    ]


def identity(run: RunFile, *, backbone_sha256: str, code: str, precision: str) -> dict[str, Any]:
    """Return all that decides the trained weights, flat: two runs with equal identities may share checkpoints."""
    train = {key: value for key, value in plain(run.settings.train).items() if key not in WITHOUT_EFFECT}
    facts: dict[str, Any] = {f"train.{key}": value for key, value in train.items()}
    facts |= {"train.precision": precision, "plan": run.plan_sha256, "backbone": backbone_sha256, "code": code}
    for source in run.sources:
        facts |= {f"{source.name}.tuples": source.tuples_sha256, f"{source.name}.tokens": source.tokens_sha256}
    return facts | {f"{source.name}.task": source.task for source in run.settings.sources}


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Return the keys in which two identities differ, sorted."""
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
