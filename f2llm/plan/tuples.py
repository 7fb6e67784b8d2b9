"""A source's tuples in arrays, as the planner reads them: about 150 bytes a tuple with 24 negatives."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.records.ids import ID_BYTES, keyed_hash
from f2llm.records.ragged import Rows
from f2llm.records.tables import read_table

COLUMNS = ["tuple_id", "query_id", "query_row", "positive_row", "negative_rows"]


class Tuples(NamedTuple):
    """Tuples of one source by row (N of them), and the lengths of what they point to.

    Attributes:
        ids: tuple ids, uint8 [N, 16].
        query_ids: the same of the queries.
        query_rows: rows of the curated queries, int32 [N].
        positive_rows: rows of the curated corpus, int32 [N].
        negative_rows: rows of the curated corpus, int32, all tuples end to end.
        negative_starts: where each tuple's negatives begin, int64 [N + 1].
        query_tokens: tokens of each query row, int32.
        passage_tokens: tokens of each corpus row, int32.
    """

    name: str
    ids: NDArray[np.uint8]
    query_ids: NDArray[np.uint8]
    query_rows: NDArray[np.int32]
    positive_rows: NDArray[np.int32]
    negative_rows: NDArray[np.int32]
    negative_starts: NDArray[np.int64]
    query_tokens: NDArray[np.int32]
    passage_tokens: NDArray[np.int32]

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Number of hard negatives of each tuple."""
        return np.diff(self.negative_starts)

    def id_of(self, row: int) -> bytes:
        """Return the tuple id of a row."""
        return self.ids[row].tobytes()


def read_tuples(path: str | Path, *, name: str, tokens: str | Path) -> Tuples:
    """Read one source's tuples, and the lengths of its texts from its folder of token rows."""
    table = read_table(path, columns=COLUMNS).combine_chunks()
    lists = table["negative_rows"]
    counts = pc.list_value_length(lists).to_numpy().astype(np.int64)
    return Tuples(
        name=name,
        ids=_ids(table["tuple_id"].to_pylist()),
        query_ids=_ids(table["query_id"].to_pylist()),
        query_rows=table["query_row"].to_numpy(),
        positive_rows=table["positive_row"].to_numpy(),
        negative_rows=pc.list_flatten(lists).to_numpy().astype(np.int32),
        negative_starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        query_tokens=Rows(Path(tokens, "queries")).lengths(),
        passage_tokens=Rows(Path(tokens, "passages")).lengths(),
    )


def split_rows(tuples: Tuples, *, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that are trained on and those held out: all tuples of a `share` of the queries.

    Keyed by (seed, query id): a query's tuples stay together, and the order of rows does not matter.
    Held-out rows come in the order of their keys.
    """
    if not share:
        return np.arange(len(tuples.ids)), np.zeros(0, np.int64)
    keys = np.array([keyed_hash(seed, "validation", query.tobytes()) for query in tuples.query_ids], np.uint64)
    chosen = keys < np.uint64(share * 2.0**64)
    held = np.flatnonzero(chosen)
    return np.flatnonzero(~chosen), order_by_key(tuples, held, keys[held])


def order_by_key(tuples: Tuples, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return `rows` in the order of their keys, equal keys by tuple id."""
    ids = tuples.ids[rows].reshape(-1, ID_BYTES).copy().view(">u8")
    order = np.lexsort((ids[:, 1], ids[:, 0], keys)) if len(rows) else np.zeros(0, np.int64)
    return rows[order]


def _ids(values: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, ID_BYTES)
