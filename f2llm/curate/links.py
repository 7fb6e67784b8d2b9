"""Links from queries to their positive or given negative passages, as flat arrays of rows."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.curate.passages import Passages
from f2llm.errors import InputError
from f2llm.records.tables import NO_ROW


class Links(NamedTuple):
    """Pairs (query row, passage row), sorted by query, within a query in the source's order."""

    query: NDArray[np.int64]
    passage: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> "Links":
        """The links under the mask."""
        return Links(self.query[mask], self.passage[mask])

    def retargeted(self, *, queries: NDArray[np.int64], passages: NDArray[np.int64]) -> "Links":
        """Distinct links with every row replaced by its stand-in (arrays by row).

        Of several links that become one, the first stays; the order is that of the rows they come from.
        """
        query, passage = queries[self.query], passages[self.passage]
        order = np.argsort(query, kind="stable")
        query, passage = query[order], passage[order]
        keys = query * (int(passages.max(initial=0)) + 1) + passage
        first = np.sort(np.unique(keys, return_index=True)[1])
        return Links(query[first], passage[first])

    def keys(self, passages: int) -> NDArray[np.int64]:
        """One number a link, to look links up by; `passages` is the number of passages."""
        return self.query * passages + self.passage

    def has(self, queries: int) -> NDArray[np.bool_]:
        """Mask of the queries that have a link; `queries` is the number of queries."""
        return np.bincount(self.query, minlength=queries) > 0

    def column(self, rows: NDArray[np.int64], ids: pa.Array) -> pa.Array:
        """The list column of passage ids for distinct query `rows`."""
        starts = np.searchsorted(self.query, rows, side="left")
        counts = np.searchsorted(self.query, rows, side="right") - starts
        offsets = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], counts)
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), ids.take(pa.array(self.passage[places])))


def read_links(table: pa.Table, column: str, passages: Passages) -> Links:
    """The links of a list column of doc_ids.

    Raises:
        InputError: an id is not in the corpus.
    """
    lists = table[column].combine_chunks()
    lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    query = np.repeat(np.arange(len(lists)), lengths)
    ids = lists.flatten()
    rows = passages.rows(ids)
    if (rows == NO_ROW).any():
        first = int(np.flatnonzero(rows == NO_ROW)[0])
        wrong, owner = ids[first].as_py().hex(), table["query_id"][int(query[first])].as_py().hex()
        raise InputError(
            f"{passages.where}: {column} of query {owner}: passage {wrong} is not in the corpus "
            f"({int((rows == NO_ROW).sum())} such ids); normalise the source again"
        )
    return Links(query, rows)
