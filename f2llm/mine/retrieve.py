"""Hard negatives of queries that have positives: searched, then selected, a part of the queries at a time.

Shapes: Q queries of a part, K candidates, F queries of one found batch, S selections, P pairs
(query, positive), T negatives of all pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.mine import Mine
from f2llm.mine.asks import Asks
from f2llm.mine.outcome import GIVEN, MINED, Mined
from f2llm.mine.passages import Passages
from f2llm.mine.select import OK, REASONS, Selections, select
from f2llm.records.ids import keyed_hash, tuple_id
from f2llm.records.tables import NO_ROW
from f2llm.vectors.scores import Backend, score_pairs
from f2llm.vectors.search import Found, search
from f2llm.vectors.store import VectorView

MISSING_POSITIVE = "missing_positive"
NO_POSITIVE = "no_positive"
NOT_BEST = "not_best"
POSITIVE_RANK = "positive_rank"
POSITIVE_SCORE = "positive_score"
STAGE = "negatives"
KINDS = pa.array([GIVEN, MINED])
# Comparisons of candidates with excluded passages in memory at once.
COMPARED = 1 << 22


class Retrieval(NamedTuple):
    """What is searched, how, and the rule."""

    source: str
    passage_vectors: VectorView
    backend: Backend
    exact: Backend  # what scores pairs, and measures the recall of a back end that is not exact
    rule: Mine
    seed: int


def mine_queries(
    task: Retrieval, queries: pa.Table, query_vectors: VectorView, passages: Passages, *, keys: Sequence[str],
    first: int, advance: Callable[[int], None],
) -> Iterator[Mined]:  # fmt: skip
    """Yield what became of every (query, positive) of a part of the queries, which begins at row `first`.

    `keys` are the E1 keys of the queries.
    """
    vectors_QD = query_vectors.rows(np.arange(len(queries)))
    asks = Asks.read(queries, passages, keys=keys, first=first, rule=task.rule)
    yield _unanswerable(asks)
    query_P = np.concatenate([asks.positive_query, asks.given_query])
    row_P = np.concatenate([asks.positive_row, asks.given_row])
    there = row_P != NO_ROW
    scores = np.full(len(row_P), np.nan, np.float32)
    scores[there] = score_pairs(
        task.exact, vectors_QD, task.passage_vectors, query_P=query_P[there], row_P=row_P[there]
    )
    asks = asks.scored(scores[: len(asks.positive_row)], scores[len(asks.positive_row) :])
    wanted = task.rule.window + np.bincount(asks.barred_query, minlength=len(queries))
    for found in search(vectors_QD, task.passage_vectors, wanted_Q=wanted, backend=task.backend):
        yield _mine_found(task, asks, found)
        advance(len(found.queries))


def _unanswerable(asks: Asks) -> Mined:
    """Return the queries that name no positive, and the pairs whose positive the corpus lacks."""
    none = np.flatnonzero(np.bincount(asks.positive_query, minlength=len(asks.ids)) == 0)
    lost = np.flatnonzero(asks.positive_row == NO_ROW)
    queries, docs = [*none.tolist(), *asks.positive_query[lost].tolist()], [None] * len(none)
    return Mined.of_rejected(
        [asks.ids[query] for query in queries], [*docs, *(asks.docs[pair] for pair in lost.tolist())],
        reason=[NO_POSITIVE] * len(none) + [MISSING_POSITIVE] * len(lost),
    )  # fmt: skip


def _mine_found(task: Retrieval, asks: Asks, found: Found) -> Mined:
    """Select the negatives of some queries and return what became of their pairs."""
    rule, place_Q = task.rule, np.full(len(asks.ids), NO_ROW)
    place_Q[found.queries] = np.arange(len(found.queries))
    candidate_FK = (found.rows != NO_ROW) & ~_barred(asks, found, place_Q)
    pair_P = np.flatnonzero((place_Q[asks.positive_query] != NO_ROW) & (asks.positive_row != NO_ROW))
    query_P, place_P = asks.positive_query[pair_P], place_Q[asks.positive_query[pair_P]]
    score_P = asks.positive_score[pair_P]
    least_Q, best_Q = _extremes(asks)
    limit_P = least_Q[query_P] if rule.several_positives == "min" else score_P
    # One selection serves all pairs of a query that have the same limit.
    _, leader_S, selection_P = np.unique(
        np.stack([query_P, limit_P.view(np.int32)]), axis=1, return_index=True, return_inverse=True
    )
    selection_P = selection_P.reshape(-1)
    query_S, place_S = query_P[leader_S], place_P[leader_S]
    given_Q = np.bincount(asks.given_query, minlength=len(asks.ids))
    draws = [keyed_hash(task.seed, STAGE, asks.ids[q]) for q in query_S] if rule.sampling == "random" else query_S
    chosen = select(
        found.scores[place_S], candidate_FK[place_S], positive_S=limit_P[leader_S],
        given_S=np.minimum(given_Q[query_S], rule.negatives), draw_S=np.asarray(draws, np.uint64), rule=rule,
    )  # fmt: skip
    rank_P = _ranks(found, chosen, place_P, selection_P, score_P, rule.window)
    reason_P = REASONS[chosen.reason_S[selection_P]].astype(object)
    if rule.positive_min_score is not None:
        reason_P[score_P < np.float32(rule.positive_min_score)] = POSITIVE_SCORE
    if rule.positive_max_rank is not None:
        reason_P[(rank_P == 0) | (rank_P > rule.positive_max_rank)] = POSITIVE_RANK
    if rule.positives == "best":
        reason_P[pair_P != best_Q[query_P]] = NOT_BEST
    return _collect(task, asks, found, chosen, _Pairs(pair_P, query_P, place_P, selection_P, rank_P, reason_P))


class _Pairs(NamedTuple):
    """Pairs of found queries."""

    pair: NDArray[np.int64]  # place in the pairs of the part
    query: NDArray[np.int64]
    place: NDArray[np.int64]  # of the query in the found batch
    selection: NDArray[np.int64]
    rank: NDArray[np.int64]
    reason: NDArray[np.object_]


def _barred(asks: Asks, found: Found, place_Q: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which candidates are excluded or given."""
    barred_FK = np.zeros(found.rows.shape, bool)
    here = place_Q[asks.barred_query] != NO_ROW
    place_B, row_B = place_Q[asks.barred_query[here]], asks.barred_row[here]
    step = max(1, COMPARED // max(1, found.rows.shape[1]))
    for start in range(0, len(place_B), step):
        part = slice(start, start + step)
        hit, at = np.nonzero(found.rows[place_B[part]] == row_B[part, None])
        barred_FK[place_B[part][hit], at] = True
    return barred_FK


def _extremes(asks: Asks) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the least score of the positives of each query, and the pair of the best (of equal ones the first)."""
    least_Q = np.full(len(asks.ids), np.inf, np.float32)
    best_Q = np.full(len(asks.ids), NO_ROW)
    there = np.flatnonzero(asks.positive_row != NO_ROW)
    np.minimum.at(least_Q, asks.positive_query[there], asks.positive_score[there])
    order = there[np.lexsort((-there, asks.positive_score[there]))]
    best_Q[asks.positive_query[order]] = order
    return least_Q, best_Q


def _ranks(
    found: Found, chosen: Selections, place_P: NDArray[np.int64], selection_P: NDArray[np.int64],
    score_P: NDArray[np.float32], window: int,
) -> NDArray[np.int64]:  # fmt: skip
    """Return the 1-based rank of each positive among the candidates of its query, 0 where it lies beyond the window."""
    rank_P = np.empty(len(place_P), np.int64)
    step = max(1, COMPARED // max(1, found.rows.shape[1]))
    for start in range(0, len(place_P), step):
        part = slice(start, start + step)
        above = found.scores[place_P[part]] > score_P[part, None]
        rank_P[part] = 1 + (above & chosen.window_SK[selection_P[part]]).sum(1)
    rank_P[rank_P > window] = 0
    return rank_P


def _collect(task: Retrieval, asks: Asks, found: Found, chosen: Selections, pairs: _Pairs) -> Mined:
    """Return the tables of some pairs."""
    ok = pairs.reason == OK
    kept, lost = (_Pairs(*(field[which] for field in pairs)) for which in (ok, ~ok))
    scores = [float(score) if np.isfinite(score) else None for score in asks.positive_score[lost.pair].tolist()]
    rejected = Mined.of_rejected(
        [asks.ids[query] for query in lost.query.tolist()], [asks.docs[pair] for pair in lost.pair.tolist()],
        reason=lost.reason.tolist(), candidates=chosen.candidates_S[lost.selection],
        kept=chosen.kept_S[lost.selection], positive_score=scores, positive_rank=_nullable(lost.rank),
    )  # fmt: skip
    ids = [asks.ids[query] for query in kept.query.tolist()]
    docs = [asks.docs[pair] for pair in kept.pair.tolist()]
    negatives = _negatives(asks, found, chosen, kept, most=task.rule.negatives)
    return rejected + Mined.of_kept(
        tuple_id=[tuple_id(task.source, query, doc) for query, doc in zip(ids, docs, strict=True)],
        query_id=ids, query_row=asks.first + kept.query, positive_row=asks.positive_row[kept.pair],
        positive_score=asks.positive_score[kept.pair], positive_rank=_nullable(kept.rank), **negatives,
    )  # fmt: skip


def _negatives(asks: Asks, found: Found, chosen: Selections, kept: _Pairs, *, most: int) -> dict[str, pa.Array]:
    """Return the list columns of the negatives of some pairs: given ones first, then mined ones by rank."""
    given_P, given_T = _spread(asks.given_query, len(asks.ids), kept.query, most=most)
    mined_P, mined_T = _spread(chosen.taken, len(chosen.reason_S), kept.selection, most=most)
    place_T = kept.place[mined_P]
    none = np.zeros(len(given_P), np.int64)
    pair_T = np.concatenate([given_P, mined_P])
    order = np.argsort(pair_T, kind="stable")
    rows = np.concatenate([asks.given_row[given_T], found.rows[place_T, chosen.at[mined_T]]])[order]
    scores = np.concatenate([asks.given_score[given_T], found.scores[place_T, chosen.at[mined_T]]])[order]
    ranks = np.concatenate([none, chosen.rank[mined_T]])[order]
    ends = np.cumsum(np.bincount(pair_T, minlength=len(kept.pair)))
    offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
    columns = {
        "rows": pa.array(rows.astype(np.int32)),
        "scores": pa.array(scores),
        "ranks": _nullable(ranks),
        "kinds": KINDS.take(pa.array((ranks > 0).astype(np.int8))),
    }
    return {f"negative_{name}": pa.ListArray.from_arrays(offsets, values) for name, values in columns.items()}


def _spread(
    owner_T: NDArray[np.int64], owners: int, owner_P: NDArray[np.int64], *, most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (pair, item) for each pair and the first `most` items of its owner; items stand sorted by owner."""
    count = np.bincount(owner_T, minlength=owners)
    starts = np.cumsum(count) - count
    count_P = np.minimum(count, most)[owner_P]
    pair_T = np.repeat(np.arange(len(owner_P)), count_P)
    within = np.arange(len(pair_T)) - np.repeat(np.cumsum(count_P) - count_P, count_P)
    return pair_T, starts[owner_P][pair_T] + within


def _nullable(numbers: NDArray[np.int64]) -> pa.Array:
    """Return int32 with null where a rank is 0."""
    return pa.array(numbers.astype(np.int32), mask=numbers == 0)
