"""The training queries of a source by row, and which of them say the same."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.curate.passages import check_distinct, comparable
from f2llm.curate.store import Store
from f2llm.records.ids import doc_id
from f2llm.records.schemas import QUERIES
from f2llm.records.tables import read_batches, read_table
from f2llm.records.text_keys import content_key

ROWS_PER_BATCH = 1024
TRAIN = "train"


class HeldOut(NamedTuple):
    """Queries that no training query may equal: E1 key -> source it is from."""

    sources: Mapping[str, str]


class Equal(NamedTuple):
    """Queries with equal E1 texts, by row."""

    first: NDArray[np.int64]  # the row that stands for the group; itself if alone
    contradicts: NDArray[np.bool_]  # the labels of the group differ


class Queries:
    """The train split of a queries table in the order of query_id; row = position in it."""

    def __init__(self, path: str | Path, *, store: Store, where: str) -> None:
        table = read_table(store.in_order(path, key="query_id")).cast(QUERIES)
        splits = table["split"].value_counts().to_pylist()
        self.held_out = {entry["values"]: entry["counts"] for entry in splits if entry["values"] != TRAIN}
        self.table = table.filter(pc.equal(table["split"], TRAIN)).combine_chunks()
        self.ids = self.column("query_id")
        check_distinct(self.ids, name="query_id", where=where)
        self.keys = np.array([content_key(text) for text in self._texts()], "S32")
        self.labels: list[str | None] = self.table["label"].to_pylist()

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> pa.Array:
        """Return one column in one piece."""
        column = self.table[name].combine_chunks()
        return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column

    def equal(self, live: NDArray[np.bool_], *, order: NDArray[np.int64]) -> Equal:
        """Group the live queries by E1 text; the one with the lowest `order` [rows] stands for its group."""
        first, contradicts = np.arange(len(self)), np.zeros(len(self), bool)
        rows = np.flatnonzero(live)
        rows = rows[np.lexsort((order[rows], self.keys[rows]))]
        starts = np.concatenate([[0], np.flatnonzero(self.keys[rows][1:] != self.keys[rows][:-1]) + 1, [len(rows)]])
        for group in np.flatnonzero(np.diff(starts) > 1).tolist():
            members = rows[starts[group] : starts[group + 1]]
            first[members] = members[0]
            contradicts[members] = len({self.labels[row] for row in members.tolist()}) > 1
        return Equal(first, contradicts)

    def doc_ids(self) -> pa.Array:
        """Return the ids that the query texts have as passages."""
        return pa.array([doc_id(text) for text in self._texts()], pa.binary(16))

    def comparable(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
        """Yield (rows, comparable forms) in bounded parts."""
        for start in range(0, len(rows), ROWS_PER_BATCH):
            part = rows[start : start + ROWS_PER_BATCH]
            yield part, [comparable(text) for text in self.table["text"].take(pa.array(part)).to_pylist()]

    def _texts(self) -> Iterator[str]:
        for batch in self.table.to_batches(ROWS_PER_BATCH):
            yield from batch["text"].to_pylist()


def held_out_queries(paths: Mapping[str, str | Path], *, trained: Collection[str]) -> HeldOut:
    """Return the held-out queries of several sources (name -> queries.parquet).

    Of a source that is trained on, the rows outside the train split; of any other, all rows.
    """
    sources: dict[str, str] = {}
    for name in sorted(paths):
        for batch in read_batches(paths[name], columns=["text", "split"]):
            for text, split in zip(batch["text"].to_pylist(), batch["split"].to_pylist(), strict=True):
                if name not in trained or split != TRAIN:
                    sources.setdefault(content_key(text), name)
    return HeldOut(sources)
