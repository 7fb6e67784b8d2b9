"""Lookup of the passages that some queries name: their rows in the corpus, and which count as the same.

It takes passes over the table, so memory grows with what the queries name, not with the corpus.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.records.ids import ID_BYTES
from f2llm.records.tables import ID, NO_ROW, read_batches

ROWS_AT_ONCE = 65_536


class PassageLookup(NamedTuple):
    """Rows of the passages that some queries name, and of all that count as the same as one of them."""

    row_of: dict[bytes, int]  # doc_id -> row, of those in the corpus
    rows_of_key: dict[str, list[int]]  # E1 key -> rows
    alike: dict[int, set[int]]  # row -> other rows with an equal E1 key or joined by a near-duplicate edge

    @classmethod
    def find(
        cls, corpus: str | Path, *, near: str | Path, ids: Sequence[bytes], keys: Sequence[str] = ()
    ) -> "PassageLookup":
        """Look up doc_ids and E1 keys in a corpus; `near` is the source's table of near-duplicate edges."""
        # First pass: the named passages, which may be joined to others by an edge or by an equal E1 key.
        row_of: dict[bytes, int] = {}
        key_of: dict[int, str] = {}
        for row, doc, key in _named(corpus, ids=set(ids), keys=set(keys)):
            row_of[doc], key_of[row] = row, key
        # Further passes, for the other ends of the edges and for all rows with an equal key.
        edges = _edges(near, row_of)
        others = {doc for edge in edges for doc in edge} - row_of.keys()
        row_of |= {doc: row for row, doc, _ in _named(corpus, ids=others)}
        rows_of_key: dict[str, list[int]] = defaultdict(list)
        for row, _, key in _named(corpus, keys=set(key_of.values())):
            rows_of_key[key].append(row)
        alike: dict[int, set[int]] = defaultdict(set)
        for left, right in edges:
            if left in row_of and right in row_of:
                alike[row_of[left]].add(row_of[right])
                alike[row_of[right]].add(row_of[left])
        for rows in (rows for rows in rows_of_key.values() if len(rows) > 1):
            for row in rows:
                alike[row].update(other for other in rows if other != row)
        return cls(row_of, dict(rows_of_key), dict(alike))

    def rows(self, ids: Sequence[bytes]) -> list[int]:
        """The row of each id, NO_ROW where the corpus has none."""
        return [self.row_of.get(doc, NO_ROW) for doc in ids]

    def rows_of_keys(self, keys: Sequence[str]) -> list[list[int]]:
        """All rows with each E1 key."""
        return [self.rows_of_key.get(key, []) for key in keys]

    def same(self, row: int) -> set[int]:
        """`row` and all rows that count as the same."""
        return {row} | self.alike.get(row, set())


def corpus_ids(corpus: str | Path) -> Iterator[NDArray[np.bytes_]]:
    """Yield the doc_ids of a corpus in the order of its rows."""
    for batch in read_batches(corpus, columns=["doc_id"], rows=ROWS_AT_ONCE):
        ids = batch["doc_id"]  # read as they lie, without a copy
        yield np.frombuffer(ids.buffers()[1], f"S{ID_BYTES}", len(ids), ids.offset * ID_BYTES)


def _named(
    corpus: str | Path, *, ids: Collection[bytes] = (), keys: Collection[str] = ()
) -> Iterator[tuple[int, bytes, str]]:
    """Yield (row, doc_id, E1 key) of each passage with one of these ids or keys; without any, nothing is read."""
    wanted = {"doc_id": pa.array(list(ids), ID), "content_key": pa.array(list(keys), pa.string())}
    first = 0
    for batch in read_batches(corpus, columns=list(wanted), rows=ROWS_AT_ONCE) if ids or keys else ():
        named = pc.or_(*(pc.is_in(batch[name], value_set=values) for name, values in wanted.items()))
        rows = first + np.flatnonzero(named)
        yield from zip(rows.tolist(), *(column.to_pylist() for column in batch.filter(named)), strict=True)
        first += len(batch)


def _edges(near: str | Path, ids: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """The edges that have an end among `ids`."""
    wanted, ends, edges = pa.array(list(ids), ID), ["doc_id", "other_id"], []
    for batch in read_batches(near, columns=ends, rows=ROWS_AT_ONCE):
        joined = batch.filter(pc.or_(*(pc.is_in(batch[name], value_set=wanted) for name in ends)))
        edges += zip(*(joined[name].to_pylist() for name in ends), strict=True)
    return edges
