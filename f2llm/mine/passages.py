"""Lookup of the passages that some queries name: their rows in the corpus, and which count as the same.

It takes passes over the table, so memory grows with what the queries name, not with the corpus.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.records.ids import ID_BYTES
from f2llm.records.tables import NO_ROW, count_rows, read_batches

KEY_DIGITS = 32
ROWS_AT_ONCE = 65_536


class PassageLookup(NamedTuple):
    """Rows of the passages that some queries name, and of all that count as the same as one of them."""

    count: int  # rows of the corpus
    row_of: dict[bytes, int]  # doc_id -> row, of those in the corpus
    rows_of_key: dict[bytes, list[int]]  # E1 key -> rows
    alike: dict[int, set[int]]  # row -> other rows with an equal E1 key or joined by a near-duplicate edge

    @classmethod
    def find(
        cls, corpus: str | Path, *, near: str | Path, ids: Sequence[bytes], keys: Sequence[str] = ()
    ) -> "PassageLookup":
        """Look up doc_ids and E1 keys in a corpus; `near` is the source's table of near-duplicate edges."""
        # First pass: the named passages, which may be joined to others by an edge or by an equal E1 key.
        wanted_ids = _sorted_unique(set(ids), ID_BYTES)
        wanted_keys = _sorted_unique([key.encode() for key in keys], KEY_DIGITS)
        row_of: dict[bytes, int] = {}
        key_of: dict[int, bytes] = {}
        for first, batch_ids, batch_keys in _batches(corpus):
            named = _among(batch_ids, wanted_ids) | _among(batch_keys, wanted_keys)
            for place in np.flatnonzero(named).tolist():
                row_of[_entry(batch_ids, place)] = first + place
                key_of[first + place] = _entry(batch_keys, place)
        # Further passes, for the other ends of the edges and for all rows with an equal key.
        edges = _edges(near, _sorted_unique(row_of, ID_BYTES))
        others = {doc for edge in edges for doc in edge} - row_of.keys()
        row_of |= _rows(corpus, others) if others else {}
        rows_of_key = _rows_of_keys(corpus, set(key_of.values()))
        alike: dict[int, set[int]] = defaultdict(set)
        for left, right in edges:
            if left in row_of and right in row_of:
                alike[row_of[left]].add(row_of[right])
                alike[row_of[right]].add(row_of[left])
        for rows in (rows for rows in rows_of_key.values() if len(rows) > 1):
            for row in rows:
                alike[row].update(other for other in rows if other != row)
        return cls(count_rows(corpus), row_of, rows_of_key, dict(alike))

    def __len__(self) -> int:
        return self.count

    def rows(self, ids: Sequence[bytes]) -> list[int]:
        """The row of each id, NO_ROW where the corpus has none."""
        return [self.row_of.get(doc, NO_ROW) for doc in ids]

    def rows_of_keys(self, keys: Sequence[str]) -> list[list[int]]:
        """All rows with each E1 key."""
        return [self.rows_of_key.get(key.encode(), []) for key in keys]

    def same(self, row: int) -> set[int]:
        """`row` and all rows that count as the same."""
        return {row} | self.alike.get(row, set())


def corpus_ids(corpus: str | Path) -> Iterator[NDArray[np.bytes_]]:
    """Yield the doc_ids of a corpus in the order of its rows."""
    for batch in read_batches(corpus, columns=["doc_id"], rows=ROWS_AT_ONCE):
        yield _column(batch["doc_id"], ID_BYTES)


def _batches(corpus: str | Path) -> Iterator[tuple[int, NDArray[np.bytes_], NDArray[np.bytes_]]]:
    first = 0
    for batch in read_batches(corpus, columns=["doc_id", "content_key"], rows=ROWS_AT_ONCE):
        keys = batch["content_key"].cast(pa.binary()).cast(pa.binary(KEY_DIGITS))
        yield first, _column(batch["doc_id"], ID_BYTES), _column(keys, KEY_DIGITS)
        first += len(batch)


def _rows(corpus: str | Path, ids: set[bytes]) -> dict[bytes, int]:
    wanted, row_of = _sorted_unique(ids, ID_BYTES), {}
    for first, batch_ids, _ in _batches(corpus):
        for place in np.flatnonzero(_among(batch_ids, wanted)).tolist():
            row_of[_entry(batch_ids, place)] = first + place
    return row_of


def _rows_of_keys(corpus: str | Path, keys: set[bytes]) -> dict[bytes, list[int]]:
    wanted, rows_of = _sorted_unique(keys, KEY_DIGITS), defaultdict(list)
    for first, _, batch_keys in _batches(corpus):
        for place in np.flatnonzero(_among(batch_keys, wanted)).tolist():
            rows_of[_entry(batch_keys, place)].append(first + place)
    return dict(rows_of)


def _edges(near: str | Path, ids: NDArray[np.bytes_]) -> list[tuple[bytes, bytes]]:
    """The edges that have an end among `ids`."""
    edges = []
    for batch in read_batches(near, columns=["doc_id", "other_id"], rows=ROWS_AT_ONCE):
        left, right = (_column(batch[name], ID_BYTES) for name in ("doc_id", "other_id"))
        for place in np.flatnonzero(_among(left, ids) | _among(right, ids)).tolist():
            edges.append((_entry(left, place), _entry(right, place)))
    return edges


def _entry(column: NDArray[np.bytes_], place: int) -> bytes:
    """One entry in full width; numpy's own indexing cuts zeros off its end."""
    return column[place : place + 1].tobytes()


def _among(column: NDArray[np.bytes_], ordered: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Mask of the entries of `column` that are in the sorted array."""
    if not len(ordered):
        return np.zeros(len(column), bool)
    places = np.minimum(np.searchsorted(ordered, column), len(ordered) - 1)
    return ordered[places] == column


def _sorted_unique(items: Sequence[bytes] | set[bytes] | dict[bytes, int], width: int) -> NDArray[np.bytes_]:
    return np.unique(_bytes(list(items), width))


def _bytes(items: Sequence[bytes], width: int) -> NDArray[np.bytes_]:
    return np.frombuffer(b"".join(items), f"S{width}")


def _column(array: pa.FixedSizeBinaryArray, width: int) -> NDArray[np.bytes_]:
    """A column without nulls as an array of bytes, without copying it."""
    return np.frombuffer(array.buffers()[1], f"S{width}", len(array), array.offset * width)
