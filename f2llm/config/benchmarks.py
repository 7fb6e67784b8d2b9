"""What a run is scored on: held-out rows of declared sources, tasks of mteb, local files of the user.

Meaning, units and defaults: workflow/schemas/benchmark.schema.yaml.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# Our name of a type -> mteb's.
TYPE_NAMES = {
    "retrieval": "Retrieval", "reranking": "Reranking", "classification": "Classification", "clustering": "Clustering",
    "sts": "STS", "pairs": "PairClassification", "summarisation": "Summarization",
}  # fmt: skip
TASK_TYPES = tuple(TYPE_NAMES)
# Columns of a task's files and their types, so that no reader has to guess (a column of dates is text, too).
COLUMNS: dict[str, dict[str, str]] = {
    "queries": {"_id": "string", "text": "string"},
    "corpus": {"_id": "string", "text": "string"},
    "qrels": {"query-id": "string", "corpus-id": "string", "score": "int32"},
    "classification": {"text": "string", "label": "int64"},
    "clustering": {"sentences": "string", "labels": "string"},
    "sts": {"sentence1": "string", "sentence2": "string", "score": "float32"},
    "pairs": {"sentence1": "string", "sentence2": "string", "labels": "int64"},
    "top_ranked": {"query-id": "string", "corpus-ids": "[string]"},
    "summarisation": {
        "text": "string",
        "human_summaries": "[string]",
        "machine_summaries": "[string]",
        "relevance": "[float64]",
    },
}
SEARCHED = {"retrieval": ("queries", "corpus", "qrels"), "reranking": ("queries", "corpus", "qrels", "top_ranked")}
TITLE = "title"  # of a passage in the user's files; comes before its text


@dataclass(frozen=True, kw_only=True)
class MtebData:
    """A task of mteb as its registry has it, restricted to what is scored."""

    repository: str  # of the hub, kind dataset
    revision: str  # commit, 40 hex digits
    splits: tuple[str, ...]
    subsets: tuple[str, ...]
    type: str  # mteb's own name of the type, such as PairClassification
    main_score: str
    texts: int  # rows of these splits, of all subsets; 0 where mteb does not say
    files: tuple[str, ...] = ("*",)  # glob patterns of the repository's files that are fetched
    part_of: str = ""  # the task of mteb whose score is the mean over this one and others


@dataclass(frozen=True, kw_only=True)
class Published:
    """Figures that a paper states for a model on a benchmark, in points."""

    model: str
    reference: str
    mean: float
    types: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One evaluation task: drawn from a source, or a task of mteb (`mteb`), or local files (`data`).

    The keys with a default are those that only tasks of one kind have.
    """

    name: str
    type: str  # one of TASK_TYPES, or mteb's name of another type in lower case
    source: str = ""
    split: Literal["dev", "test", "all"] = "test"
    queries: int | None
    passages: int | None
    train_texts: int | None
    instruction: str
    batch: str = "small"
    tiers: tuple[Literal["smoke", "nano", "full"], ...]
    mteb: MtebData | None = None
    data: str = ""
    columns: dict[str, str] | None = None
    check: Literal["strict", "counts", "off"]

    @property
    def part_of(self) -> str:
        """The task of mteb whose score is the mean over this one and others, or empty."""
        return self.mteb.part_of if self.mteb else ""

    @property
    def type_name(self) -> str:
        """Mteb's name of its type."""
        return self.mteb.type if self.mteb else TYPE_NAMES[self.type]

    @property
    def kind(self) -> str:
        """Where its rows come from: mteb | local | drawn."""
        return "mteb" if self.mteb else "local" if self.data else "drawn"

    @property
    def has_data(self) -> bool:
        """Whether its local files have a folder, and one below the working directory."""
        folder = Path(self.data)
        return ".." not in folder.parts and folder.resolve().is_relative_to(Path.cwd().resolve()) and folder.is_dir()


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One file of config/benchmarks."""

    name: str
    tasks: tuple[Task, ...]
    mteb: str
    published: tuple[Published, ...]


def columns_of(kind: str) -> tuple[str, ...]:
    """Our names of the columns that the user's files have in a task of type `kind`."""
    titled = (TITLE,) if kind in SEARCHED else ()
    return tuple(
        dict.fromkeys([*(column for part in SEARCHED.get(kind, (kind,)) for column in COLUMNS[part]), *titled])
    )
