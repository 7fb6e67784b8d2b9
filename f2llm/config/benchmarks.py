"""What a run is scored on: tasks made of held-out rows of declared sources."""

from dataclasses import dataclass

TASK_TYPES = ("retrieval", "classification", "clustering", "sts")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One evaluation task."""

    name: str
    type: str  # one of TASK_TYPES
    source: str  # name of a stanza in config/sources
    split: str  # train | dev | test | all: which rows are evaluated ("all" for sources never trained on)
    queries: int | None = None  # retrieval and STS: rows drawn by keyed hash; classification, clustering: texts
    passages: int | None = None  # retrieval: corpus drawn by keyed hash, positives always in it
    train_texts: int | None = None  # classification: texts of the train split that the probe is fitted on
    instruction: str = ""  # empty: the source's own
    batch: str = "small"  # tasks of one batch share a job


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One file of config/benchmarks."""

    name: str
    tasks: tuple[Task, ...]
