"""What a source is: where its files lie, how a row becomes a record, under which licence."""

from dataclasses import dataclass, field
from typing import Any

from f2llm.config.fetch import Fetch, Licence

TASKS = ("retrieval", "classification", "clustering", "sts")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """Counts that a publication states for the finished training data; None where it states none."""

    queries: int | None = None  # training tuples
    passages: int | None = None  # distinct passages of these
    query_tokens: int | None = None  # mean, instruction included
    passage_tokens: int | None = None  # mean


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far a stanza has been tried."""

    level: str = "declared"  # checked (against real rows) | declared (from documentation alone)
    note: str = ""  # what was checked against what, or what is still to be


@dataclass(frozen=True, kw_only=True)
class Source:
    """One stanza of config/sources."""

    name: str
    task: str  # one of TASKS
    fetch: tuple[Fetch, ...]
    adapter: str  # function of f2llm.sources.adapters
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the adapter
    instruction: str
    licence: Licence
    reference: str  # where the data is described
    group: str  # what the split is grouped by, in words
    ready: bool = False  # True: tuples made elsewhere; their negatives are taken as given, none is mined
    held_out: bool = True  # False: all rows are training rows, no group goes to dev or test
    train: bool = True  # False: never trained on (a benchmark, or held back as unseen data)
    in_domain: tuple[str, ...] = ()  # evaluation tasks whose train split or origin it holds
    curate: dict[str, Any] = field(default_factory=dict)  # part of config.run.Curate -> settings other than the run's
    max_queries: int | None = None  # cap on training queries after curation
    max_passages: int | None = None  # cap on the mining corpus after curation; positives always stay
    notes: str = ""
    citation: str = ""  # whom to cite
    expected: Expected = Expected()
    status: Status = Status()

    @property
    def stated_queries(self) -> int:
        """Training queries that its publication states, within its own cap; 0 where none are stated."""
        return _capped(self.expected.queries, self.max_queries)

    @property
    def stated_passages(self) -> int:
        """Passages, likewise."""
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
