"""The queries of a part as flat arrays: their positives, given negatives, and what is barred from the rest.

Shapes: P pairs (query, positive), G given negatives, B barred passages, each list sorted by query.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.mine import Mine
from f2llm.mine.passages import Passages
from f2llm.records.tables import NO_ROW


class Asks(NamedTuple):
    """Queries of a part; `*_query` are positions in it, `*_row` rows of the corpus."""

    first: int  # row of the first query in its table
    ids: list[bytes]
    docs: list[bytes]  # [P] doc_id of the positive
    positive_query: NDArray[np.int64]
    positive_row: NDArray[np.int64]  # NO_ROW where the corpus lacks it
    positive_score: NDArray[np.float32]
    given_query: NDArray[np.int64]
    given_row: NDArray[np.int64]
    given_score: NDArray[np.float32]
    barred_query: NDArray[np.int64]
    barred_row: NDArray[np.int64]  # never found: excluded, or given

    @classmethod
    def read(cls, queries: pa.Table, passages: Passages, *, keys: Sequence[str], first: int, rule: Mine) -> "Asks":
        """Return the queries of a table, which begins at row `first`, without scores; `keys` are their E1 keys."""
        positives, negatives = queries["positives"].to_pylist(), queries["negatives"].to_pylist()
        own = passages.rows_of_keys(keys) if rule.exclude_own_text else [[] for _ in keys]
        excluded, given = [], []
        for at, docs in enumerate(positives):
            out = _excluded(passages, passages.rows(docs), own[at], copies=rule.exclude_copies)
            rows = dict.fromkeys(passages.rows(negatives[at])) if negatives[at] else ()
            given.append([row for row in rows if row != NO_ROW and row not in out])
            excluded.append(sorted(out.union(given[-1])))
        positive_query, docs = _flat(positives)
        given_query, given_row = _flat(given)
        barred_query, barred_row = _flat(excluded)
        none = np.array([], np.float32)
        return cls(
            first, queries["query_id"].to_pylist(), docs, positive_query, _rows(passages.rows(docs)), none,
            given_query, _rows(given_row), none, barred_query, _rows(barred_row),
        )  # fmt: skip

    def scored(self, positive_score: NDArray[np.float32], given_score: NDArray[np.float32]) -> "Asks":
        """Return the same with the canonical scores of positives (NaN where absent) and given negatives."""
        return self._replace(positive_score=positive_score, given_score=given_score)


def _excluded(passages: Passages, positives: list[int], own: list[int], *, copies: bool) -> set[int]:
    """Return the positives that are there, all rows of the query's own text, and `copies` of these."""
    rows = {*positives, *own[:1]} - {NO_ROW}  # near copies are those of the text's first row
    alike = [passages.alike.get(row, ()) for row in rows] if copies else ()
    return rows.union(own, *alike)


def _flat(lists: list[list]) -> tuple[NDArray[np.int64], list]:  # type: ignore[type-arg]
    owners = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return owners, [item for items in lists for item in items]


def _rows(rows: list[int]) -> NDArray[np.int64]:
    return np.array(rows, np.int64)
