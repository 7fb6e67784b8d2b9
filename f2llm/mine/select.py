"""Which of a query's nearest passages become its hard negatives: a pure rule, for many queries at once.

F2LLM (arXiv 2510.02294, hard negatives) mined with sentence-transformers' `mine_hard_negatives`,
whose order of filter and skip is the default here; NV-Retriever (arXiv 2407.15831) names the
relative margin TopK-PercPos and the absolute one TopK-MarginPos.
Shapes: S selections, K candidates, T taken passages.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.mine import Mine

OK = "ok"
FEW_CANDIDATES = "few_candidates"
FILTERED_OUT = "filtered_out"
NAN_POSITIVE = "nan_positive"
NAN_SCORE = "nan_score"
REASONS = np.array([OK, FEW_CANDIDATES, FILTERED_OUT, NAN_POSITIVE, NAN_SCORE])
_OK, _FEW, _FILTERED, _NAN_POSITIVE, _NAN_SCORE = range(len(REASONS))
# Constants of splitmix64 (Steele et al. 2014, Fast splittable pseudorandom number generators).
_STEP, _MIX_1, _MIX_2 = (np.uint64(x) for x in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)


class Selections(NamedTuple):
    """The outcome of each selection, and the passages taken, by selection and then by rank."""

    reason_S: NDArray[np.int64]  # index into REASONS
    candidates_S: NDArray[np.int64]  # how many candidates the window holds
    kept_S: NDArray[np.int64]  # given negatives and candidates left after the filters and the skip, before the cut
    window_SK: NDArray[np.bool_]  # which candidates lie inside the window
    taken_selection: NDArray[np.int64]  # [T]
    taken_column: NDArray[np.int64]  # [T] place in K
    taken_rank: NDArray[np.int64]  # [T] 1-based, among the candidates


def score_limit(positive_S: NDArray[np.float32], *, relative_margin: float) -> NDArray[np.float32]:
    """Scores that negatives must stay below: positive - |positive| x margin, in float32.

    By the absolute value, so that the limit lies below the positive also where its score is negative.
    """
    positive_S = np.asarray(positive_S, np.float32)
    with np.errstate(invalid="ignore"):  # of an infinite score, which rejects its query
        return positive_S - np.abs(positive_S) * np.float32(relative_margin)


def select(
    scores_SK: NDArray[np.float32],
    candidate_SK: NDArray[np.bool_],
    *,
    positive_S: NDArray[np.float32],
    given_S: NDArray[np.int64],
    draw_S: NDArray[np.uint64],
    rule: Mine,
) -> Selections:
    """Hard negatives of each selection, up to `rule.negatives` with the given ones, or the reason why there are none.

    Args:
        scores_SK: canonical scores, descending.
        candidate_SK: which columns may be negatives: a passage that is neither excluded nor given, and no repeat of
            an earlier one. The others take up no rank.
        positive_S: score of the positive, or the least of several.
        given_S: how many given negatives come first, unfiltered; at most `rule.negatives`.
        draw_S: key of the draws, for `sampling: random`.
        rule: settings; the first `window` candidates are looked at.
    """
    # The window counts candidates, not columns: an excluded passage must not make it narrower.
    rank_SK = np.cumsum(candidate_SK, axis=1, dtype=np.int32)
    window_SK = candidate_SK & (rank_SK <= rule.window)
    candidates_S = window_SK.sum(1)
    # Filters, then the skip: the best ones are passed over as likely positives that nobody labelled. "after_filter"
    # passes over the best of those that pass (as sentence-transformers does), "before_filter" over the best candidates.
    passing_SK = window_SK & _passes(scores_SK, positive_S, rule)
    order_SK = rank_SK if rule.skip_order == "before_filter" else np.cumsum(passing_SK, axis=1, dtype=np.int32)
    passing_SK &= order_SK > rule.skip
    kept_S = given_S + passing_SK.sum(1)
    # One reason for each selection, the later ones before the earlier: an untrustworthy score outweighs a lack.
    reason_S = np.where(candidates_S < rule.skip + rule.least, _FEW, _FILTERED)
    reason_S[kept_S >= rule.least] = _OK
    reason_S[(window_SK & ~np.isfinite(scores_SK)).any(1)] = _NAN_SCORE
    without_limit_S = ~np.isfinite(positive_S)
    reason_S[without_limit_S] = _NAN_POSITIVE
    candidates_S[without_limit_S] = kept_S[without_limit_S] = 0
    # Given negatives fill the first places; mined ones take what is left, in the order of their turns.
    wanted_S = np.where(reason_S == _OK, rule.negatives - given_S, 0)
    taken_SK = passing_SK & (_turns(passing_SK, draw_S, rule) <= wanted_S[:, None])
    selection, column = np.nonzero(taken_SK)
    return Selections(reason_S, candidates_S, kept_S, window_SK, selection, column, rank_SK[selection, column])


def _passes(scores_SK: NDArray[np.float32], positive_S: NDArray[np.float32], rule: Mine) -> NDArray[np.bool_]:
    """Mask of the scores within the bounds; bounds are computed in float32, the precision of the scores."""
    below = np.less if rule.strict else np.less_equal
    passing_SK = np.ones(scores_SK.shape, bool)
    if rule.max_score is not None:
        passing_SK &= below(scores_SK, np.float32(rule.max_score))
    if rule.min_score is not None:
        passing_SK &= scores_SK >= np.float32(rule.min_score)
    if rule.relative_margin is not None:
        passing_SK &= below(scores_SK, score_limit(positive_S, relative_margin=rule.relative_margin)[:, None])
    if rule.absolute_margin is not None:
        passing_SK &= below(scores_SK, (positive_S - np.float32(rule.absolute_margin))[:, None])
    return passing_SK


def _turns(passing_SK: NDArray[np.bool_], draw_S: NDArray[np.uint64], rule: Mine) -> NDArray[np.int32]:
    """1-based turns in which the passing candidates are taken: by rank, or by a keyed hash of the place among them."""
    place_SK = np.cumsum(passing_SK, axis=1, dtype=np.int32)
    if rule.sampling == "top":
        return place_SK
    # A draw depends on the query's key and the place alone, so shares, block sizes and back ends draw the same ones.
    hash_SK = _splitmix64(draw_S[:, None] + place_SK.astype(np.uint64) * _STEP)
    hash_SK[~passing_SK] = _LAST
    # The turn is the rank of the hash in its row: the inverse of the permutation that sorts the row.
    turn_SK = np.empty_like(place_SK)
    order_SK = np.argsort(hash_SK, axis=1, kind="stable")
    np.put_along_axis(turn_SK, order_SK, np.arange(1, place_SK.shape[1] + 1, dtype=np.int32)[None], axis=1)
    return turn_SK


def _splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))
