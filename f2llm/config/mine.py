"""Settings of mining. Meaning, units and defaults: workflow/schemas/config/mine.schema.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Index:
    """How candidates are found: all passages compared, or an approximate index of faiss."""

    kind: str  # flat (exact) | ivf (inverted lists) | hnsw (graph)
    lists: int  # ivf: clusters
    probes: int  # ivf: clusters that a query visits
    links: int  # hnsw: neighbours of a passage
    build_breadth: int  # hnsw: candidates while building
    search_breadth: int  # hnsw: candidates while searching
    recall_sample: int  # queries that are also searched exactly, to state the recall


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Settings of the mine stage (F2LLM, arXiv 2510.02294, section on hard negatives); None: no such bound."""

    max_length: int
    window: int
    skip: int
    skip_order: str  # after_filter | before_filter
    max_score: float | None
    min_score: float | None
    relative_margin: float | None
    absolute_margin: float | None
    strict: bool  # a score equal to an upper bound is filtered
    sampling: str  # top | random
    negatives: int
    least_negatives: int | None  # None: as many as `negatives`
    several_positives: str  # min | own
    positives: str  # all | best
    positive_max_rank: int | None
    positive_min_score: float | None
    exclude_copies: bool
    exclude_own_text: bool
    index: Index
    backend: str  # auto | faiss | torch
    device: str  # auto | cpu | cuda
    block_rows: int | None  # None: what suits the device
    texts_per_job: int
    queries_per_job: int
    min_kept: int

    @property
    def least(self) -> int:
        """Hard negatives below which a pair is dropped."""
        return self.negatives if self.least_negatives is None else self.least_negatives
