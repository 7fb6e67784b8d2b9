"""A batch of queries as flat arrays: their positives, given negatives, and the passages barred from the search.

Shapes: P pairs (query, positive), G given negatives, B barred passages, each list sorted by query.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.mine import Mine
from f2llm.mine.passages import PassageLookup
from f2llm.records.tables import NO_ROW

NO_SCORES = np.zeros(0, np.float32)


class QueryBatch(NamedTuple):
    """Queries that are mined together; `*_query` are positions in the batch, `*_row` rows of the corpus."""

    first: int  # row of the first query in the queries table
    ids: list[bytes]
    positive_ids: list[bytes]  # [P] doc_id of the positive
    positive_query: NDArray[np.int64]
    positive_row: NDArray[np.int64]  # NO_ROW where the corpus lacks it
    given_query: NDArray[np.int64]
    given_row: NDArray[np.int64]
    barred_query: NDArray[np.int64]
    barred_row: NDArray[
        np.int64
    ]  # excluded from the search: positives, the query's text, copies of these, given negatives
    positive_score: NDArray[np.float32] = NO_SCORES  # canonical, NaN where the corpus lacks the positive
    given_score: NDArray[np.float32] = NO_SCORES

    @classmethod
    def read(
        cls, queries: pa.Table, passages: PassageLookup, *, keys: Sequence[str], first: int, rule: Mine
    ) -> "QueryBatch":
        """The queries of a table, which begins at row `first`, not scored yet; `keys` are their E1 keys."""
        positives, negatives = queries["positives"].to_pylist(), queries["negatives"].to_pylist()
        text_rows = passages.rows_of_keys(keys) if rule.exclude_own_text else [[] for _ in keys]
        barred, given = [], []
        for query_positives, query_negatives, rows in zip(positives, negatives, text_rows, strict=True):
            excluded = _excluded(passages, passages.rows(query_positives), rows, copies=rule.exclude_copies)
            named = dict.fromkeys(passages.rows(query_negatives or ()))  # distinct, in the source's order
            given.append([row for row in named if row != NO_ROW and row not in excluded])
            # Given negatives are barred too: they come first anyway, and would be mined a second time.
            barred.append(sorted(excluded.union(given[-1])))
        positive_query, positive_ids = _flat(positives)
        given_query, given_row = _flat(given)
        barred_query, barred_row = _flat(barred)
        return cls(
            first=first,
            ids=queries["query_id"].to_pylist(),
            positive_ids=positive_ids,
            positive_query=positive_query,
            positive_row=_rows(passages.rows(positive_ids)),
            given_query=given_query,
            given_row=_rows(given_row),
            barred_query=barred_query,
            barred_row=_rows(barred_row),
        )


def _excluded(passages: PassageLookup, positives: list[int], text_rows: list[int], *, copies: bool) -> set[int]:
    """The positives in the corpus, the rows `text_rows` that have the query's text, and `copies` of these."""
    rows = {*positives, *text_rows[:1]} - {NO_ROW}  # near copies are those of the text's first row
    alike = [passages.alike.get(row, ()) for row in rows] if copies else ()
    return rows.union(text_rows, *alike)


def _flat(lists: list[list]) -> tuple[NDArray[np.int64], list]:  # type: ignore[type-arg]
    """(position of its list, item) of every item."""
    owners = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return owners, [item for items in lists for item in items]


def _rows(rows: list[int]) -> NDArray[np.int64]:
    return np.array(rows, np.int64)
