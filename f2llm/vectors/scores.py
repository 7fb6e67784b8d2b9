"""Canonical scores, the same on every machine, and what a search returns.

A search finds the nearest passages by products whose last bits depend on block size, threads and device. Canonical
scores are then computed from the stored float16 vectors: the product of two such numbers is exact in float32 (11 x 11
bits) and a multiple of 2**-48, and for unit vectors every partial sum stays below 2, so a float64 sum of the products
is exact in any order. Rounded once to float32, that sum is the canonical score.
Shapes: Q queries, K candidates, N passages of a block, P pairs (query, passage), D dimensions.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.errors import InputError
from f2llm.records.tables import NO_ROW
from f2llm.vectors.store import VectorView

# A float32 product of unit vectors is within half of this of the exact one (1.0e-6 seen at D = 384).
FLOAT32_ERROR = 1e-5
# The same for tensor cores, which add float16 products in float32 with coarser rounding.
TENSOR_CORE_ERROR = 1e-4
# Numbers of each side that are multiplied at once: half a megabyte, which stays in the cache.
VALUES_AT_ONCE = 1 << 17


class Nearest(NamedTuple):
    """Candidates of some queries, [Q, K], by canonical score, descending, then row, ascending; padding is last."""

    scores: NDArray[np.float32]  # -inf where there is no row
    rows: NDArray[np.int64]  # NO_ROW where the search found fewer than asked for
    bound: NDArray[np.float64]  # [Q] no passage outside the candidates has a canonical score above this


class Backend(ABC):
    """A search that reads the passages block by block.

    Attributes:
        exact: whether the bound of `nearest` holds.
        block_rows: passages in memory at once.
        entries: most candidates, of all queries together, of one search.
        most: most candidates of one query, None for no limit; for more, `Faiss` on the CPU takes over.
    """

    exact: bool
    block_rows: int
    entries: int
    most: int | None

    @abstractmethod
    def nearest(
        self, queries_QD: NDArray[np.float16], passages: VectorView, count: int, *, wanted: NDArray[np.int64]
    ) -> Nearest:
        """Up to `count` candidates of each query; its `wanted` best are among them where the bound proves it."""

    def score(
        self, queries_QD: NDArray[np.floating], block_ND: NDArray[np.float16], query_P: NDArray[np.int64],
        row_P: NDArray[np.int64],
    ) -> NDArray[np.float32]:  # fmt: skip
        """Canonical scores [P] of pairs: row of `queries_QD`, row of `block_ND`; computed on the CPU."""
        # Widened once: numpy's conversion of float16 costs more than the products.
        wide_QD, wide_ND = queries_QD.astype(np.float32, copy=False), block_ND.astype(np.float32)
        scores_P = np.empty(len(row_P), np.float32)
        pairs_at_once = max(1, VALUES_AT_ONCE // max(1, block_ND.shape[1]))
        for start in range(0, len(row_P), pairs_at_once):
            pairs = slice(start, start + pairs_at_once)
            products_PD = wide_ND[row_P[pairs]]
            products_PD *= wide_QD[query_P[pairs]]
            scores_P[pairs] = products_PD.sum(1, dtype=np.float64)
        return scores_P


def ordered(
    backend: Backend, queries_QD: NDArray[np.float16], passages: VectorView, near: NDArray[np.float32],
    rows: NDArray[np.int64], *, wanted: NDArray[np.int64], error: float,
) -> Nearest:  # fmt: skip
    """Candidates with canonical scores, in canonical order, with the bound on passages that were not found.

    `near` are their scores as the search computed them, descending, within half of `error` of the canonical ones; an
    infinite error is that of an approximate index. Candidates that cannot be among the `wanted` best of their query
    become padding.
    """
    # A passage that was not found has a computed score of at most the lowest one here, and a canonical score at most
    # half of `error` above that.
    bound = near.min(axis=1, initial=np.inf).astype(np.float64) + error
    if np.isfinite(error) and near.shape[1]:
        # A candidate more than `error` below the last wanted one is canonically below it, too: it need not be scored.
        last = np.clip(wanted - 1, 0, near.shape[1] - 1)
        rows = np.where(near < near[np.arange(len(near)), last][:, None] - np.float32(error), NO_ROW, rows)
    query_P, column_P = np.nonzero(rows != NO_ROW)
    scores = np.full(rows.shape, -np.inf, np.float32)
    row_P = rows[query_P, column_P]
    scores[query_P, column_P] = score_pairs(backend, queries_QD, passages, query_P=query_P, row_P=row_P)
    if np.isfinite(error):
        check_error(float(np.abs(scores - near)[query_P, column_P].max(initial=0.0)), error)
    order = _canonical_order(scores, rows)
    return Nearest(np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1), bound)


def score_pairs(
    backend: Backend, queries_QD: NDArray[np.float16], passages: VectorView, *, query_P: NDArray[np.int64],
    row_P: NDArray[np.int64],
) -> NDArray[np.float32]:  # fmt: skip
    """Canonical scores [P] of pairs (row of `queries_QD`, row of `passages`); each passage is read once."""
    scores_P = np.empty(len(row_P), np.float32)
    wide_QD = queries_QD.astype(np.float32)
    # Pairs sorted by passage: those of the distinct passage i are order[starts[i] : starts[i + 1]].
    order = np.argsort(row_P)
    ordered_P = row_P[order]
    starts = np.flatnonzero(np.diff(ordered_P, prepend=NO_ROW))
    distinct_rows, starts = ordered_P[starts], np.append(starts, len(order))
    for first in range(0, len(distinct_rows), backend.block_rows):
        last = min(first + backend.block_rows, len(distinct_rows))
        pairs = order[starts[first] : starts[last]]
        block_row_P = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        block_ND = passages.rows(distinct_rows[first:last])
        scores_P[pairs] = backend.score(wide_QD, block_ND, query_P[pairs], block_row_P)
    return scores_P


def _canonical_order(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order [Q, K] of each query's candidates by score, descending, then row: one sort of 64-bit integers.

    The upper half holds the score as an integer that rises as the score falls, the lower half the row.
    """
    bits = (-scores + np.float32(0)).view(np.int32)  # the sum turns -0 into 0, which is the same score
    # The bits of positive floats rise with them, those of negative ones fall: all but the sign are flipped.
    rising = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    return np.argsort((rising << 32) | (rows & 0xFFFFFFFF), axis=1)


def check_error(worst: float, error: float) -> None:
    """Refuse scores that lie further from the canonical ones than the proof of completeness allows.

    Raises:
        InputError: more than half of `error`.
    """
    if not worst <= error / 2:
        raise InputError(
            f"mine: the search's scores are off by up to {worst:.1e}, its lists are proven for {error / 2:.1e} only; "
            "set another mine.backend or mine.device: cpu"
        )
