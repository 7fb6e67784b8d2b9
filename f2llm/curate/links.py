"""Links from queries to their positive or given negative passages, as flat arrays of rows."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from f2llm.curate.passages import Passages
from f2llm.curate.rows import Ints, Mask, find_all, offsets_of
from f2llm.records.errors import InputError
from f2llm.records.tables import NO_ROW


class Links(NamedTuple):
    """Pairs (query row, passage row), sorted by query, within a query in the source's order."""

    query: Ints
    passage: Ints

    def where(self, mask: Mask) -> "Links":
        """The links under the mask."""
        return Links(self.query[mask], self.passage[mask])

    def retargeted(self, *, queries: Ints, passages: Ints) -> "Links":
        """Distinct links with every row replaced by its stand-in (arrays by row).

        Of several links that become one, the first stays; the order is that of the rows they come from.
        """
        query, passage = queries[self.query], passages[self.passage]
        order = np.argsort(query, kind="stable")
        query, passage = query[order], passage[order]
        keys = query * (int(passages.max(initial=0)) + 1) + passage
        first = np.sort(np.unique(keys, return_index=True)[1])
        return Links(query[first], passage[first])

    def keys(self, passages: int) -> Ints:
        """One number a link, to look links up by; `passages` is the number of passages."""
        return self.query * passages + self.passage

    def has(self, queries: int) -> Mask:
        """Mask of the queries that have a link; `queries` is the number of queries."""
        return np.bincount(self.query, minlength=queries) > 0

    def column(self, rows: Ints, ids: pa.Array) -> pa.Array:
        """The list column of passage ids for distinct query `rows`."""
        counts, places = find_all(self.query, rows)
        return pa.ListArray.from_arrays(
            pa.array(offsets_of(counts), pa.int32()), ids.take(pa.array(self.passage[places]))
        )


def read_links(table: pa.Table, column: str, passages: Passages) -> Links:
    """The links of a list column of doc_ids.

    Raises:
        InputError: an id is not in the corpus.
    """
    lists = table[column].combine_chunks()
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
