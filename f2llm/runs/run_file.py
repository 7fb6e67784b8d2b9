"""run.json: the settings and digests of a planned run, as plan_run writes them and the trainer reads them."""

from dataclasses import dataclass
from pathlib import Path

from f2llm.config.build import build
from f2llm.config.curate import Curate
from f2llm.config.encoding import EncodingModel
from f2llm.config.mine import Mine
from f2llm.config.rights import Barred
from f2llm.config.tokens import Tokens
from f2llm.config.train import Train, TrainedModel, TrainedSource
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file

MODEL_FILE = "f2llm.json"  # in a trained model's folder: its run, and the digests of all that decides its weights
CHECKPOINT_FILE = "checkpoint.json"  # in a checkpoint's folder: its step, files and their hashes
PLAN_FILE = "plan.parquet"
VALIDATION_PLAN_FILE = "validation_plan.parquet"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The part of a run's config that decides its plan and training; of stanzas what these read."""

    run: str
    seed: int
    barred: tuple[Barred, ...]
    sources: tuple[TrainedSource, ...]
    backbone: TrainedModel
    retriever: EncodingModel
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
    left_out: dict[str, str]  # sources without tuples to train on -> why


def read_run_file(path: str | Path) -> RunFile:
    """Read run.json, and check the plan beside it, all tuples and what describes token rows against their hashes.

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
