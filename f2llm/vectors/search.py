"""Exact nearest passages of many queries: candidate lists that are proven to be complete.

A back end fetches a few more candidates than wanted. A list is accepted when the canonical score of
its last wanted candidate lies above all that was not fetched, or, of an approximate index, when as
many were fetched as are wanted; the other queries are searched again with more. Lists are ordered by
canonical score, descending, then by passage row.
Shapes: Q queries, K candidates, D dimensions.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.vectors.faiss_search import Faiss
from f2llm.vectors.scores import NO_ROW, Backend
from f2llm.vectors.store import VectorView

# Candidates fetched beyond those wanted: with 20, all of 1,500 real queries were proven at once.
SPARE = 28
# How far `entries` may be passed: else the few queries over it would read the whole corpus once more.
SLACK = 2
# How the number of fetched candidates grows for queries that are not proven.
GROWTH = 4


class Found(NamedTuple):
    """The nearest passages of some queries."""

    queries: NDArray[np.int64]  # [Q] positions of the queries
    scores: NDArray[np.float32]  # [Q, K] canonical, descending; -inf where there is no row
    rows: NDArray[np.int64]  # [Q, K] passage rows; NO_ROW beyond what was wanted of the query


def queries_at_once(wanted: int, backend: Backend) -> int:
    """Return how many queries to search together when each wants so many candidates."""
    return max(1, backend.entries // (wanted + SPARE))


def search(
    queries_QD: NDArray[np.float16], passages: VectorView, *, wanted_Q: NDArray[np.int64], backend: Backend
) -> Iterator[Found]:
    """Yield the nearest `wanted_Q` passages of each query, every query once, in no particular order.

    The result is exact and the same for every exact back end, block size and number of threads.
    Memory is one block of passages, `backend.entries` candidates (twice at most) and the queries.
    """
    wanted_Q = np.minimum(wanted_Q, len(passages))
    pending = np.arange(len(queries_QD))
    fetched = min(len(passages), int(np.median(wanted_Q)) + SPARE) if len(pending) else 0
    while len(pending):
        unproven = []
        size = max(1, SLACK * backend.entries // max(fetched, 1))
        if backend.most and fetched > backend.most:
            backend = Faiss(threads=1)
        for first in range(0, len(pending), size):
            part = pending[first : first + size]
            found, proven = _search_part(queries_QD, part, passages, wanted_Q[part], fetched, backend)
            unproven.append(part[~proven])
            yield Found(part[proven], found.scores[proven], found.rows[proven])
        pending, fetched = np.concatenate(unproven), min(len(passages), fetched * GROWTH)


def _search_part(
    queries_QD: NDArray[np.float16],
    part: NDArray[np.int64],
    passages: VectorView,
    wanted_Q: NDArray[np.int64],
    fetched: int,
    backend: Backend,
) -> tuple[Found, NDArray[np.bool_]]:
    """Return the candidates of some queries in canonical order, and a mask of those proven complete."""
    scores, rows, bound = backend.nearest(queries_QD[part], passages, fetched, wanted=wanted_Q)
    proven = np.full(len(part), fetched == len(passages))
    if fetched:
        last_wanted = np.clip(wanted_Q - 1, 0, fetched - 1)
        # Nothing is known of what an approximate index did not find, but it must have been asked for enough.
        proven |= (wanted_Q <= fetched) & (not backend.exact or scores[np.arange(len(part)), last_wanted] > bound)
    beyond = np.arange(fetched) >= wanted_Q[:, None]
    return Found(part, np.where(beyond, -np.inf, scores).astype(np.float32), np.where(beyond, NO_ROW, rows)), proven
