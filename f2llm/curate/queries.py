"""The training queries of a source by row, which of them are equal, and which are held out for evaluation."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.curate.passages import check_distinct, comparable
from f2llm.curate.rows import Ints, Mask, group_starts
from f2llm.curate.store import Store
from f2llm.records.ids import doc_id
from f2llm.records.schemas.sources import QUERIES
from f2llm.records.tables import ID, numbered, read_batches, read_table
from f2llm.records.text_keys import content_key

ROWS_PER_BATCH = 1024
TRAIN = "train"
NO_LABEL = -1


class Queries:
    """The train split of a queries table in the order of query_id; row = position in it.

    Texts stay on disk. Memory: the other columns, and 20 bytes a row for keys and labels.
    """

    def __init__(self, path: str | Path, *, store: Store, where: str) -> None:
        self.path = store.in_order(path, key="query_id")
        table = read_table(self.path, columns=[name for name in QUERIES.names if name != "text"])
        splits = table["split"].value_counts().to_pylist()
        self.held_out = {entry["values"]: entry["counts"] for entry in splits if entry["values"] != TRAIN}
        self._train = pc.equal(table["split"], TRAIN).to_numpy(zero_copy_only=False).astype(bool)
        self.table = table.filter(pa.array(self._train)).combine_chunks()
        self.ids = self.table["query_id"].combine_chunks().cast(ID)
        check_distinct(self.ids, name="query_id", where=where)
        self.keys = np.zeros(len(self), "S16")  # E1 keys
        for rows, texts in self.texts():
            self.keys[rows] = _e1_keys(texts)
        labels = self.table["label"].combine_chunks().dictionary_encode()
        self.labels = labels.indices.fill_null(NO_LABEL).to_numpy(zero_copy_only=False)  # equal numbers, equal labels

    def __len__(self) -> int:
        return len(self.table)

    def equal(self, live: Mask, *, order: Ints) -> tuple[Ints, Mask]:
        """For each query the live one that stands for all with its E1 text, itself if alone; and whose labels differ.

        Of a group the query with the lowest `order` [rows] stands for it.
        """
        first, contradicts = np.arange(len(self)), np.zeros(len(self), bool)
        rows = np.flatnonzero(live)
        # Sorted by key, equal texts lie side by side; within a group the one that stands for it comes first.
        rows = rows[np.lexsort((order[rows], self.keys[rows]))]
        starts = np.append(np.flatnonzero(group_starts(self.keys[rows])), len(rows))
        for group in np.flatnonzero(np.diff(starts) > 1).tolist():
            members = rows[starts[group] : starts[group + 1]]
            first[members] = members[0]
            contradicts[members] = (self.labels[members] != self.labels[members[0]]).any()
        return first, contradicts

    def doc_ids(self) -> pa.Array:
        """Ids that the query texts have as passages."""
        return pa.array([doc_id(text) for _, texts in self.texts() for text in texts], pa.binary(16))

    def comparable(self, live: Mask) -> Iterator[tuple[Ints, list[str]]]:
        """Yield (rows, comparable forms) of the live rows in bounded parts."""
        for rows, texts in self.texts():
            chosen = live[rows]
            if chosen.any():
                yield rows[chosen], [comparable(text) for text, keep in zip(texts, chosen, strict=True) if keep]

    def texts(self) -> Iterator[tuple[Ints, list[str]]]:
        """Yield (rows, texts) in bounded parts."""
        for rows, batch in self.batches(columns=["text"]):
            yield rows, batch["text"].to_pylist()

    def batches(self, *, columns: Sequence[str] | None = None) -> Iterator[tuple[Ints, pa.RecordBatch]]:
        """Yield (rows, the table's columns) in bounded parts."""
        row = 0
        for start, batch in numbered(read_batches(self.path, columns=columns, rows=ROWS_PER_BATCH)):
            train = batch.filter(pa.array(self._train[start : start + len(batch)]))
            if len(train):
                yield np.arange(row, row + len(train)), train
                row += len(train)


def query_keys(path: str | Path) -> NDArray[np.bytes_]:
    """E1 keys of all queries of a table, 16 bytes each."""
    batches = read_batches(path, columns=["text"], rows=ROWS_PER_BATCH)
    return np.concatenate([_e1_keys([]), *(_e1_keys(batch["text"].to_pylist()) for batch in batches)])


def _e1_keys(texts: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([bytes.fromhex(content_key(text)) for text in texts], "S16")


def held_out_queries(paths: Mapping[str, str | Path], *, in_part: Collection[str]) -> dict[str, str]:
    """E1 key -> source of the queries that no training query may equal; `paths`: source -> queries.parquet.

    Of a source in `in_part` these are the rows outside the train split; of any other, all rows.
    """
    sources: dict[str, str] = {}
    for name in sorted(paths):
        for batch in read_batches(paths[name], columns=["text", "split"]):
            for text, split in zip(batch["text"].to_pylist(), batch["split"].to_pylist(), strict=True):
                if name not in in_part or split != TRAIN:
                    sources.setdefault(content_key(text), name)
    return sources
