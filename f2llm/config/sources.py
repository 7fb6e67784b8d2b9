"""What a source is. Meaning, units and defaults: workflow/schemas/source.schema.yaml."""

from dataclasses import dataclass
from typing import Any, Literal

from f2llm.config.fetch import Order
from f2llm.config.train import TrainedSource


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Counts that a publication states for the finished training data; None where it states none."""

    queries: int | None
    passages: int | None
    query_tokens: int | None
    passage_tokens: int | None


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a stanza is proven."""

    level: Literal["declared", "evidence", "probed", "fetched"]
    note: str
    commit: str  # of the repository, when it was probed or fetched
    date: str  # of that day, 2026-11-30


@dataclass(frozen=True, kw_only=True)
class Source(Order, TrainedSource):
    """One stanza of config/sources."""

    adapter: str
    options: dict[str, Any]
    group: str
    held_out: bool
    train: bool
    in_domain: tuple[str, ...]
    curate: dict[str, Any]  # part of `Curate` -> settings other than the run's
    max_queries: int | None
    max_passages: int | None
    notes: str
    citation: str
    expected: Expected
    status: Status

    @property
    def stated_queries(self) -> int:
        """Training queries that its publication states, within its own cap; 0 where none are stated."""
        return _capped(self.expected.queries, self.max_queries)

    @property
    def stated_passages(self) -> int:
        """Passages that its publication states, within its own cap; 0 where none are stated."""
        return _capped(self.expected.passages, self.max_passages)

    @property
    def searched(self) -> bool:
        """Whether a retriever encodes its texts and searches its passages for hard negatives."""
        return self.task == "retrieval" and not self.ready

    @property
    def shape(self) -> str:
        """What the rows are: those of the task, or queries with passages (as of retrieval) where tuples are ready."""
        return "retrieval" if self.ready else self.task


def _capped(count: int | None, cap: int | None) -> int:
    return min(count or 0, cap or count or 0)
