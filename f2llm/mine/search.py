"""Exact nearest passages of many queries, block by block, with scores that are the same everywhere.

faiss finds a few more candidates than wanted with float32 products, whose last bits depend on
block size and threads. Their scores are then computed again in float64 from the stored float16
vectors: for unit vectors that sum is exact in any order (products are multiples of 2**-48, partial
sums stay below 2), so after rounding once to float32 it is the same on every machine. This is
the canonical score. Candidates are ordered by it, descending, then by passage row.
Shapes: Q queries, P pairs, K candidates, D dimensions.
"""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.encode.store import VectorView

# Candidates fetched beyond those wanted: with 20, all of 1,500 real queries were proven at once.
SPARE = 28
# A float32 product of unit vectors is closer than half of this to the exact one (5.5e-7 seen at D = 384).
SCORE_ERROR = 2e-6
# How the number of fetched candidates grows for queries that are not proven.
GROWTH = 4
# Candidates of all queries searched at once, 12 bytes each in a few copies: bounds memory.
MOST_ENTRIES = 1 << 21
# Numbers of each side that are multiplied at once in float64.
VALUES_AT_ONCE = 1 << 21
NO_ROW = -1


class Found(NamedTuple):
    """The nearest passages of some queries."""

    queries: NDArray[np.int64]  # [Q] positions of the queries
    scores: NDArray[np.float32]  # [Q, K] canonical, descending; -inf where there is no row
    rows: NDArray[np.int64]  # [Q, K] passage rows; NO_ROW beyond what was wanted of the query


def set_threads(threads: int) -> None:
    """Let the search use so many threads; results do not depend on it."""
    # Its loader reports every build of itself that it tries.
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    import faiss

    faiss.omp_set_num_threads(threads)


def queries_at_once(wanted: int) -> int:
    """Return how many queries to search together when each wants so many candidates."""
    return max(1, MOST_ENTRIES // (wanted + SPARE))


def search(
    queries_QD: NDArray[np.float16],
    passages: VectorView,
    *,
    wanted_Q: NDArray[np.int64],
    block_rows: int,
) -> Iterator[Found]:
    """Yield the nearest `wanted_Q` passages of each query, every query once, in no particular order.

    The result is exact: a query whose candidates are not proven to be complete is searched again
    with more of them. It does not depend on `block_rows` or threads. Memory is one block of
    passages, MOST_ENTRIES candidates and the queries.
    """
    wanted_Q = np.minimum(wanted_Q, len(passages))
    pending = np.arange(len(queries_QD))
    fetched = min(len(passages), int(np.median(wanted_Q)) + SPARE) if len(pending) else 0
    while len(pending):
        unproven = []
        size = max(1, MOST_ENTRIES // max(fetched, 1))
        for first in range(0, len(pending), size):
            part = pending[first : first + size]
            found, proven = _search_part(queries_QD, part, passages, wanted_Q[part], fetched, block_rows)
            unproven.append(part[~proven])
            yield Found(part[proven], found.scores[proven], found.rows[proven])
        pending, fetched = np.concatenate(unproven), min(len(passages), fetched * GROWTH)


def score_pairs(
    queries_QD: NDArray[np.float16],
    passages: VectorView,
    *,
    query_P: NDArray[np.int64],
    row_P: NDArray[np.int64],
    block_rows: int,
) -> NDArray[np.float32]:
    """Return the canonical score of each pair (query position, passage row), [P]; a passage is read once."""
    scores_P = np.empty(len(row_P), np.float32)
    order = np.argsort(row_P, kind="stable")
    rows, starts = np.unique(row_P[order], return_index=True)
    ends = np.append(starts[1:], len(order))
    step = max(1, VALUES_AT_ONCE // max(1, passages.dim))
    for first in range(0, len(rows), block_rows):
        block = passages.rows(rows[first : first + block_rows])
        last = min(first + block_rows, len(rows)) - 1
        for start in range(starts[first], ends[last], step):
            part = order[start : min(start + step, ends[last])]
            near_PD = block[np.searchsorted(rows[first : last + 1], row_P[part])].astype(np.float64)
            scores_P[part] = np.einsum("pd,pd->p", near_PD, queries_QD[query_P[part]].astype(np.float64))
    return scores_P


def _search_part(
    queries_QD: NDArray[np.float16],
    part: NDArray[np.int64],
    passages: VectorView,
    wanted_Q: NDArray[np.int64],
    fetched: int,
    block_rows: int,
) -> tuple[Found, NDArray[np.bool_]]:
    """Return the candidates of some queries in canonical order, and a mask of those proven complete."""
    near_scores, rows = _nearest(queries_QD[part].astype(np.float32), passages, fetched, block_rows)
    query_P = np.repeat(part, fetched)
    scores = score_pairs(queries_QD, passages, query_P=query_P, row_P=rows.ravel(), block_rows=block_rows)
    scores = scores.reshape(rows.shape)
    order = np.lexsort((rows, -scores), axis=1)
    scores, rows = np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)
    # Whatever was not fetched has a float32 score of at most the least that was.
    bound = near_scores[:, -1].astype(np.float64) + SCORE_ERROR if fetched else np.empty(len(part))
    last_wanted = np.clip(wanted_Q - 1, 0, max(fetched - 1, 0))
    proven = np.full(len(part), fetched == len(passages))
    if fetched:
        proven |= (wanted_Q <= fetched) & (scores[np.arange(len(part)), last_wanted] > bound)
    beyond = np.arange(fetched) >= wanted_Q[:, None]
    return Found(part, np.where(beyond, -np.inf, scores).astype(np.float32), np.where(beyond, NO_ROW, rows)), proven


def _nearest(
    queries_QD: NDArray[np.float32],
    passages: VectorView,
    count: int,
    block_rows: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return float32 scores and rows [Q, count] of the nearest passages, descending; count <= len(passages)."""
    import faiss

    scores = np.full((len(queries_QD), count), -np.inf, np.float32)
    rows = np.full((len(queries_QD), count), NO_ROW, np.int64)
    for first, block in passages.blocks(block_rows) if count else ():
        taken = min(count, len(block))
        block_scores, block_at = faiss.knn(
            queries_QD, block.astype(np.float32), taken, metric=faiss.METRIC_INNER_PRODUCT
        )
        more = ((0, 0), (0, count - taken))
        block_scores = np.pad(block_scores, more, constant_values=-np.inf)
        block_rows_found = np.pad(block_at + first, more, constant_values=NO_ROW)
        if first == 0:
            scores, rows = block_scores, block_rows_found
            continue
        scores, rows = faiss.merge_knn_results(
            np.stack([scores, block_scores]), np.stack([rows, block_rows_found]), keep_max=True
        )
    return scores, rows
