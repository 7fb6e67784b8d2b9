"""Draws from normalised tables by keyed hash: the same rows for every run, seed and row order.

Draws are keyed by a constant, not by the seed of the run, so that runs with different seeds are scored on the same
rows. Memory holds the drawn rows.
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


class SourceQuery(NamedTuple):
    """A row of queries.parquet."""

    id: bytes
    text: str
    positives: list[bytes]
    label: str | None
    grade: float | None
    group: str

    @property
    def key(self) -> str:
        """The E1 key: equal for texts that differ in case, spacing or width alone."""
        return content_key(self.text)


class SourcePassage(NamedTuple):
    """A row of corpus.parquet."""

    id: bytes
    text: str
    key: str


Row = TypeVar("Row", SourceQuery, SourcePassage)


def read_queries(path: str | Path, *, split: str = ALL) -> Iterator[SourceQuery]:
    """The queries of one split, or of all."""
    columns = ["query_id", "text", "positives", "label", "grade", "group", "split"]
    for batch in read_batches(path, columns=columns):
        for *values, row_split in zip(*(batch[name].to_pylist() for name in columns), strict=True):
            if split in (ALL, row_split):
                yield SourceQuery(*values)


def read_passages(path: str | Path) -> Iterator[SourcePassage]:
    """The passages of a corpus."""
    columns = ["doc_id", "text", "content_key"]
    for batch in read_batches(path, columns=columns):
        yield from map(SourcePassage._make, zip(*(batch[name].to_pylist() for name in columns), strict=True))


def draw(
    rows: Callable[[], Iterable[Row]], *, count: int | None, stage: str, key: Callable[[Row], str] | None = None
) -> list[Row]:
    """The `count` rows whose keyed hashes are smallest (None: all), in that order.

    Of rows with an equal `key` (their E1 key, unless given) only the first is drawn. `rows` is called again when too
    many of the first rows are equal. Fewer than `count` are returned when there are no more; the caller decides whether
    that is a fault.
    """
    pool = None if count is None else 2 * count
    while True:
        ranked = ((keyed_hash(SEED, stage, row.id), row.id, row) for row in rows())
        first = sorted(ranked) if pool is None else heapq.nsmallest(pool, ranked)
        distinct: dict[str, Row] = {}
        for *_, row in first:
            distinct.setdefault(key(row) if key else row.key, row)
        if pool is None or len(distinct) >= count or len(first) < pool:
            return list(distinct.values())[:count]
        pool *= 2
