"""The passages of one source as the miner sees them: ids, and which of them count as the same."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.records.tables import read_table

NO_ROW = -1


class Passages(NamedTuple):
    """A curated corpus without its texts."""

    ids: pa.Array  # in the order of the table, which is sorted by them
    keys: pa.Array  # E1 keys
    alike: dict[int, set[int]]  # row -> other rows with an equal E1 key or joined by a near-duplicate edge

    @classmethod
    def read(cls, corpus: str | Path, *, near: str | Path) -> "Passages":
        """Read ids and keys of a corpus and its near-duplicate edges."""
        table = read_table(corpus, columns=["doc_id", "content_key"]).combine_chunks()
        ids, keys = _column(table, "doc_id"), _column(table, "content_key")
        alike: dict[int, set[int]] = defaultdict(set)
        edges = read_table(near, columns=["doc_id", "other_id"])
        for left, right in zip(_places(edges["doc_id"], ids), _places(edges["other_id"], ids), strict=True):
            if NO_ROW not in (left, right):
                alike[left].add(right)
                alike[right].add(left)
        for group in _repeated(keys):
            for row in group:
                alike[row].update(other for other in group if other != row)
        return cls(ids, keys, dict(alike))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[bytes]) -> list[int]:
        """Return the row of each id, NO_ROW where there is none."""
        return _places(pa.array(ids, self.ids.type), self.ids)

    def rows_of_keys(self, keys: Sequence[str]) -> list[int]:
        """Return the first row with each E1 key, NO_ROW where there is none."""
        return _places(pa.array(keys, self.keys.type), self.keys)

    def same(self, row: int) -> set[int]:
        """Return `row` and all rows that count as the same."""
        return {row} | self.alike.get(row, set())


def _column(table: pa.Table, name: str) -> pa.Array:
    return (
        pa.concat_arrays(table[name].chunks) if table[name].num_chunks else pa.array([], table.schema.field(name).type)
    )


def _places(wanted: pa.Array | pa.ChunkedArray, among: pa.Array) -> list[int]:
    return pc.fill_null(pc.index_in(wanted, value_set=among), NO_ROW).to_pylist()


def _repeated(keys: pa.Array) -> Iterator[list[int]]:
    """Yield the rows of every key that stands more than once."""
    if not len(keys):
        return
    first: NDArray[np.int32] = pc.index_in(keys, value_set=keys).to_numpy()
    for row in np.unique(first[first != np.arange(len(first))]):
        yield np.flatnonzero(first == row).tolist()
