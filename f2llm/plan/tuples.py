"""The tuples of a source as arrays, as planning needs them: about 150 bytes a tuple with 24 negatives."""

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
    """The N tuples of one source, and the lengths of the texts that they refer to.

    Attributes:
        ids: tuple ids, [N, 16].
        query_ids: ids of their queries, [N, 16].
        query_rows: rows of the curated queries, [N].
        positive_rows: rows of the curated corpus, [N].
        negative_rows: rows of the curated corpus, those of all tuples end to end.
        negative_starts: where the negatives of each tuple begin, and their total, [N + 1].
        query_tokens: number of tokens of each row of the curated queries.
        passage_tokens: number of tokens of each row of the curated corpus.
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
        """The tuple id of a row, 16 bytes."""
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
    """The rows that are trained on, and those held out: all tuples of a `share` of the queries.

    Queries are chosen by a hash of seed and query id, so the tuples of a query stay together, and the order of rows
    does not matter. Held-out rows are in the order of that hash.
    """
    if not share:
        return np.arange(len(tuples.ids)), np.zeros(0, np.int64)
    keys = np.array([keyed_hash(seed, "validation", query.tobytes()) for query in tuples.query_ids], np.uint64)
    chosen = keys < np.uint64(share * 2.0**64)
    held = np.flatnonzero(chosen)
    return np.flatnonzero(~chosen), order_by_key(tuples, held, keys[held])


def order_by_key(tuples: Tuples, rows: NDArray[np.int64], keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """`rows` in the order of their `keys`; rows with equal keys in the order of their tuple ids."""
    ids = tuples.ids[rows].reshape(-1, ID_BYTES).copy().view(">u8")
    order = np.lexsort((ids[:, 1], ids[:, 0], keys)) if len(rows) else np.zeros(0, np.int64)
    return rows[order]


def _ids(values: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, ID_BYTES)
