"""Draws from normalised tables by keyed hash: the same rows for every run, seed and row order.

The benchmark is fixed: its draws are keyed by a constant, not by the seed of the run, so that two
runs with other seeds are scored on the same rows. Memory is bounded by what is drawn.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from f2llm.records.ids import keyed_hash
from f2llm.records.tables import read_batches
from f2llm.records.text_keys import content_key

SEED = 0
ALL = "all"


class Query(NamedTuple):
    """A row of queries.parquet."""

    id: bytes
    text: str
    positives: list[bytes]
    label: str | None
    grade: float | None
    group: str

    @property
    def key(self) -> str:
        """E1 key: equal for texts that only differ in case, spacing or width."""
        return content_key(self.text)


class Passage(NamedTuple):
    """A row of corpus.parquet."""

    id: bytes
    text: str
    key: str


Item = TypeVar("Item", Query, Passage)


def read_queries(path: str | Path, *, split: str = ALL) -> Iterator[Query]:
    """Yield the queries of one split, or of all."""
    columns = ["query_id", "text", "positives", "label", "grade", "group", "split"]
    for batch in read_batches(path, columns=columns):
        for *values, found in zip(*(batch[name].to_pylist() for name in columns), strict=True):
            if split in (ALL, found):
                yield Query(*values)


def read_passages(path: str | Path) -> Iterator[Passage]:
    """Yield the passages of a corpus."""
    columns = ["doc_id", "text", "content_key"]
    for batch in read_batches(path, columns=columns):
        yield from map(Passage._make, zip(*(batch[name].to_pylist() for name in columns), strict=True))


def draw(
    rows: Callable[[], Iterable[Item]], *, count: int | None, stage: str, key: Callable[[Item], str] | None = None
) -> list[Item]:
    """Return the `count` rows whose keyed hashes are smallest (None: all), in that order.

    Of rows with an equal `key` (their E1 key, unless given) only the first is drawn. `rows` is
    called again when too many of the first rows are equal. Fewer than `count` come back when
    there are no more; the caller decides whether that is a fault.
    """
    pool = None if count is None else 2 * count
    while True:
        ranked = ((keyed_hash(SEED, stage, row.id), row.id, row) for row in rows())
        first = sorted(ranked) if pool is None else heapq.nsmallest(pool, ranked)
        distinct: dict[str, Item] = {}
        for *_, row in first:
            distinct.setdefault(key(row) if key else row.key, row)
        if pool is None or len(distinct) >= count or len(first) < pool:
            return list(distinct.values())[:count]
        pool *= 2
