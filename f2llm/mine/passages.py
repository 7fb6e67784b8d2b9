"""Rows of the corpus that some queries name, and which passages count as the same.

Found in passes over the table, so memory is what the queries name, not the corpus.
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


class Passages(NamedTuple):
    """What is known of the passages that were asked for."""

    count: int  # rows of the corpus
    row_of: dict[bytes, int]  # doc_id -> row, of those that are there
    rows_of_key: dict[bytes, list[int]]  # E1 key -> rows
    alike: dict[int, set[int]]  # row -> other rows with an equal E1 key or joined by a near-duplicate edge

    @classmethod
    def find(
        cls, corpus: str | Path, *, near: str | Path, ids: Sequence[bytes], keys: Sequence[str] = ()
    ) -> "Passages":
        """Look up doc_ids and E1 keys in a corpus, and all that counts as the same as one of them."""
        asked = set(ids)
        wanted, keyed = _sorted_unique(asked, ID_BYTES), _sorted_unique([key.encode() for key in keys], KEY_DIGITS)
        row_of: dict[bytes, int] = {}
        key_of: dict[int, bytes] = {}
        for first, batch_ids, batch_keys in _batches(corpus):
            for at in np.flatnonzero(_among(batch_ids, wanted) | _among(batch_keys, keyed)).tolist():
                row_of[batch_ids[at : at + 1].tobytes()] = first + at
                key_of[first + at] = batch_keys[at : at + 1].tobytes()
        edges = _edges(near, _sorted_unique(row_of, ID_BYTES))
        others = {doc for edge in edges for doc in edge} - row_of.keys()
        row_of |= _rows(corpus, others) if others else {}
        rows_of_key = _rows_of_keys(corpus, set(key_of.values()))
        alike: dict[int, set[int]] = defaultdict(set)
        for left, right in edges:
            if left in row_of and right in row_of:
                alike[row_of[left]].add(row_of[right])
                alike[row_of[right]].add(row_of[left])
        for rows in rows_of_key.values():
            for row in rows if len(rows) > 1 else ():
                alike[row].update(other for other in rows if other != row)
        return cls(count_rows(corpus), row_of, rows_of_key, dict(alike))

    def __len__(self) -> int:
        return self.count

    def rows(self, ids: Sequence[bytes]) -> list[int]:
        """Return the row of each id, NO_ROW where there is none."""
        return [self.row_of.get(doc, NO_ROW) for doc in ids]

    def rows_of_keys(self, keys: Sequence[str]) -> list[list[int]]:
        """Return all rows with each E1 key."""
        return [self.rows_of_key.get(key.encode(), []) for key in keys]

    def same(self, row: int) -> set[int]:
        """Return `row` and all rows that count as the same."""
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
    wanted, found = _sorted_unique(ids, ID_BYTES), {}
    for first, batch_ids, _ in _batches(corpus):
        for at in np.flatnonzero(_among(batch_ids, wanted)).tolist():
            found[batch_ids[at : at + 1].tobytes()] = first + at
    return found


def _rows_of_keys(corpus: str | Path, keys: set[bytes]) -> dict[bytes, list[int]]:
    wanted, found = _sorted_unique(keys, KEY_DIGITS), defaultdict(list)
    for first, _, batch_keys in _batches(corpus):
        for at in np.flatnonzero(_among(batch_keys, wanted)).tolist():
            found[batch_keys[at : at + 1].tobytes()].append(first + at)
    return dict(found)


def _edges(near: str | Path, ids: NDArray[np.bytes_]) -> list[tuple[bytes, bytes]]:
    """Return the edges that have an end among `ids`."""
    edges = []
    for batch in read_batches(near, columns=["doc_id", "other_id"], rows=ROWS_AT_ONCE):
        left, right = (_column(batch[name], ID_BYTES) for name in ("doc_id", "other_id"))
        for at in np.flatnonzero(_among(left, ids) | _among(right, ids)).tolist():
            edges.append((left[at : at + 1].tobytes(), right[at : at + 1].tobytes()))
    return edges


def _among(these: NDArray[np.bytes_], ordered: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """Return which of `these` are in the sorted array."""
    if not len(ordered):
        return np.zeros(len(these), bool)
    places = np.minimum(np.searchsorted(ordered, these), len(ordered) - 1)
    return ordered[places] == these


def _sorted_unique(items: Sequence[bytes] | set[bytes] | dict[bytes, int], width: int) -> NDArray[np.bytes_]:
    return np.unique(_bytes(list(items), width))


def _bytes(items: Sequence[bytes], width: int) -> NDArray[np.bytes_]:
    return np.frombuffer(b"".join(items), f"S{width}")


def _column(array: pa.FixedSizeBinaryArray, width: int) -> NDArray[np.bytes_]:
    """Return a column without nulls as an array of bytes, without copying it."""
    return np.frombuffer(array.buffers()[1], f"S{width}", len(array), array.offset * width)
