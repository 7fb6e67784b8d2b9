"""Which of a query's nearest passages become its hard negatives: a pure rule.

F2LLM (arXiv 2510.02294, hard negatives) mined with sentence-transformers' `mine_hard_negatives`,
whose order of filter and skip is the default here; NV-Retriever (arXiv 2407.15831) names the
relative margin TopK-PercPos.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.run import Mine

OK = "ok"
FEW_CANDIDATES = "few_candidates"
FILTERED_OUT = "filtered_out"
NAN_POSITIVE = "nan_positive"
NAN_SCORE = "nan_score"


class Selection(NamedTuple):
    """The negatives of one query, given ones first, or why there are none."""

    reason: str  # OK or why not
    candidates: int  # looked at inside the window
    kept: int  # given ones and those left after the filters and the skip, before the cut to `negatives`
    given: tuple[int, ...] = ()  # passage rows
    mined: tuple[int, ...] = ()  # passage rows
    scores: tuple[float, ...] = ()  # of the mined ones
    ranks: tuple[int, ...] = ()  # of the mined ones, 1-based among the candidates


def score_limit(positive_score: float, *, relative_margin: float) -> np.float32:
    """Return the score that a negative must stay below: positive - |positive| x margin, in float32.

    The sign of the positive's score does not matter this way.
    """
    positive = np.float32(positive_score)
    return positive - np.abs(positive) * np.float32(relative_margin)


def select(
    scores_K: NDArray[np.float32],
    rows_K: NDArray[np.int64],
    *,
    positive_score: float,
    exclude: Collection[int],
    given: Sequence[int],
    rule: Mine,
) -> Selection:
    """Return the hard negatives of one query, `rule.negatives` of them, or the reason that there are none.

    Args:
        scores_K: canonical scores, descending.
        rows_K: passage rows of the scores; negative numbers are padding.
        positive_score: score of the positive, or the least of several.
        exclude: rows that are never negatives; they take up no rank.
        given: rows that come first, unfiltered, in this order; excluded and repeated ones are left out.
        rule: settings; the candidates are the first `window` rows that are neither excluded nor given.
    """
    if not np.isfinite(positive_score):
        return Selection(NAN_POSITIVE, candidates=0, kept=0)
    first = tuple(row for row in dict.fromkeys(given) if row not in exclude)[: rule.negatives]
    scores, rows = _candidates(scores_K, rows_K, barred={*exclude, *first}, window=rule.window)
    if not np.isfinite(scores).all():
        return Selection(NAN_SCORE, candidates=len(rows), kept=0)
    limit = score_limit(positive_score, relative_margin=rule.relative_margin)
    passing = np.flatnonzero((scores < limit) & (scores < np.float32(rule.max_score)))
    # "after_filter" passes over the best survivors, "before_filter" over the best candidates.
    passing = passing[rule.skip :] if rule.skip_order == "after_filter" else passing[passing >= rule.skip]
    kept = len(first) + len(passing)
    if kept < rule.negatives:
        reason = FEW_CANDIDATES if len(rows) < rule.skip + rule.negatives else FILTERED_OUT
        return Selection(reason, candidates=len(rows), kept=kept)
    taken = passing[: rule.negatives - len(first)]
    return Selection(
        OK,
        candidates=len(rows),
        kept=kept,
        given=first,
        mined=tuple(rows[taken].tolist()),
        scores=tuple(scores[taken].tolist()),
        ranks=tuple((taken + 1).tolist()),
    )


def _candidates(
    scores_K: NDArray[np.float32],
    rows_K: NDArray[np.int64],
    *,
    barred: Collection[int],
    window: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the first `window` distinct rows that are not barred, with their scores."""
    kept = np.flatnonzero((rows_K >= 0) & ~np.isin(rows_K, list(barred)))
    _, firsts = np.unique(rows_K[kept], return_index=True)
    kept = kept[np.sort(firsts)][:window]
    return scores_K[kept], rows_K[kept]
