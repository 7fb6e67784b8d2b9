"""Settings of mining. Meaning, units and defaults: workflow/schemas/config/mine.schema.yaml."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Index:
    """How candidates are found: all passages compared, or an approximate index of faiss."""

    kind: Literal["flat", "ivf", "hnsw"]
    lists: int
    probes: int
    links: int
    build_breadth: int
    search_breadth: int
    recall_sample: int


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Settings of the mine stage (F2LLM, arXiv 2510.02294, section on hard negatives); None: no such bound."""

    max_length: int
    window: int
    skip: int
    skip_order: Literal["after_filter", "before_filter"]
    max_score: float | None
    min_score: float | None
    relative_margin: float | None
    absolute_margin: float | None
    strict: bool
    sampling: Literal["top", "random"]
    negatives: int
    least_negatives: int | None
    several_positives: Literal["min", "own"]
    positives: Literal["all", "best"]
    positive_max_rank: int | None
    positive_min_score: float | None
    exclude_copies: bool
    exclude_own_text: bool
    index: Index
    backend: Literal["auto", "faiss", "torch"]
    device: Literal["auto", "cpu", "cuda"]
    block_rows: int | None
    texts_per_job: int
    queries_per_job: int
    min_kept: int

    @property
    def least(self) -> int:
        """Hard negatives below which a pair is dropped."""
        return self.negatives if self.least_negatives is None else self.least_negatives
