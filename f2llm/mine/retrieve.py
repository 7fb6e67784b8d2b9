"""Hard negatives of queries that have positives: searched, then selected, a batch of queries at a time.

Shapes: Q queries of the batch, F those whose neighbours came in one piece of the search, K candidates of each,
P pairs (query, positive), G given negatives, B barred passages, S selections (one serves all pairs of a query with
equal limits), T negatives of all pairs.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.mine import Mine
from f2llm.mine.outcome import GIVEN, MINED, MinedRows, RejectedPair
from f2llm.mine.passages import PassageLookup
from f2llm.mine.select import OK, REASONS, Selections, select
from f2llm.records.ids import keyed_hash, tuple_id
from f2llm.records.schemas.mine import REJECTED, TUPLES
from f2llm.records.tables import NO_ROW
from f2llm.vectors.scores import Backend, score_pairs
from f2llm.vectors.search import Neighbours, search
from f2llm.vectors.store import VectorView

MISSING_POSITIVE = "missing_positive"
NO_POSITIVE = "no_positive"
NOT_BEST = "not_best"
POSITIVE_RANK = "positive_rank"
POSITIVE_SCORE = "positive_score"
STAGE = "negatives"
KINDS = pa.array([GIVEN, MINED])
# Candidates compared in memory at once, with barred passages or with scores of positives.
COMPARED = 1 << 22
NO_SCORES = np.zeros(0, np.float32)


class Retrieval(NamedTuple):
    """What the search needs of one source: its passages, the back ends and the rule."""

    source: str
    passage_vectors: VectorView
    backend: Backend
    exact: Backend  # what scores pairs, and measures the recall of a back end that is not exact
    rule: Mine
    seed: int


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
    # Excluded from the search: positives, the query's text, copies of these, given negatives.
    barred_row: NDArray[np.int64]
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
            positive_row=np.array(passages.rows(positive_ids), np.int64),
            given_query=given_query,
            given_row=np.array(given_row, np.int64),
            barred_query=barred_query,
            barred_row=np.array(barred_row, np.int64),
        )


def mine_queries(
    task: Retrieval, queries: pa.Table, query_vectors: VectorView, passages: PassageLookup, *, keys: Sequence[str],
    first: int, advance: Callable[[int], None],
) -> Iterator[MinedRows]:  # fmt: skip
    """Yield tuples and rejected pairs, every (query, positive) once, of queries whose table begins at row `first`.

    `keys` are the E1 keys of the queries; `advance` is told how many queries are done.
    """
    batch = QueryBatch.read(queries, passages, keys=keys, first=first, rule=task.rule)
    yield _unanswerable(batch)
    # Positives and given negatives are scored pair by pair: the search finds a positive only if it ranks high.
    vectors_QD = query_vectors.rows(np.arange(len(queries)))
    query_N = np.concatenate([batch.positive_query, batch.given_query])
    row_N = np.concatenate([batch.positive_row, batch.given_row])
    in_corpus_N = row_N != NO_ROW
    score_N = np.full(len(row_N), np.nan, np.float32)
    score_N[in_corpus_N] = score_pairs(
        task.exact, vectors_QD, task.passage_vectors, query_P=query_N[in_corpus_N], row_P=row_N[in_corpus_N]
    )
    pairs = len(batch.positive_row)
    batch = batch._replace(positive_score=score_N[:pairs], given_score=score_N[pairs:])
    # Barred passages are found like all others; fetching as many more leaves a full window without them.
    wanted_Q = task.rule.window + np.bincount(batch.barred_query, minlength=len(queries))
    for neighbours in search(vectors_QD, task.passage_vectors, wanted_Q=wanted_Q, backend=task.backend):
        yield _mine_neighbours(task, batch, neighbours)
        advance(len(neighbours.queries))


def _unanswerable(batch: QueryBatch) -> MinedRows:
    """The queries that name no positive, and the pairs whose positive the corpus lacks, as rejected pairs."""
    without_positive = np.flatnonzero(np.bincount(batch.positive_query, minlength=len(batch.ids)) == 0).tolist()
    missing = np.flatnonzero(batch.positive_row == NO_ROW).tolist()
    return MinedRows.of_rows(
        [RejectedPair(batch.ids[query], None, NO_POSITIVE) for query in without_positive]
        + [
            RejectedPair(batch.ids[batch.positive_query[pair]], batch.positive_ids[pair], MISSING_POSITIVE)
            for pair in missing
        ]
    )


def _mine_neighbours(task: Retrieval, batch: QueryBatch, neighbours: Neighbours) -> MinedRows:
    """Tuples and rejected pairs of the queries whose neighbours were found."""
    rule = task.rule
    # 1. Candidates: what is neither barred nor padding of a shorter list.
    place_Q = np.full(len(batch.ids), NO_ROW)  # where the neighbours of a query stand, NO_ROW if not among these
    place_Q[neighbours.queries] = np.arange(len(neighbours.queries))
    candidate_FK = (neighbours.rows != NO_ROW) & ~_barred(batch, neighbours, place_Q)
    # 2. Pairs of these queries, each with the score that its negatives are measured against.
    pair_P = np.flatnonzero((place_Q[batch.positive_query] != NO_ROW) & (batch.positive_row != NO_ROW))
    query_P, place_P = batch.positive_query[pair_P], place_Q[batch.positive_query[pair_P]]
    score_P = batch.positive_score[pair_P]
    least_Q, best_Q = _least_and_best_positive(batch)
    limit_P = least_Q[query_P] if rule.several_positives == "min" else score_P
    # 3. One selection serves all pairs of a query that have the same limit, with "min" all of them. Limits are compared
    # by their bits: as integers they stack with the numbers of the queries, and NaN equals itself.
    _, leader_S, selection_P = np.unique(
        np.stack([query_P, limit_P.view(np.int32)]), axis=1, return_index=True, return_inverse=True
    )
    selection_P = selection_P.reshape(-1)
    query_S, place_S = query_P[leader_S], place_P[leader_S]
    given_Q = np.bincount(batch.given_query, minlength=len(batch.ids))
    draws = [keyed_hash(task.seed, STAGE, batch.ids[q]) for q in query_S] if rule.sampling == "random" else query_S
    selections = select(
        neighbours.scores[place_S], candidate_FK[place_S], positive_S=limit_P[leader_S],
        given_S=np.minimum(given_Q[query_S], rule.negatives), draw_S=np.asarray(draws, np.uint64), rule=rule,
    )  # fmt: skip
    # 4. Checks of the positive itself; the last one that fails names the reason.
    rank_P = _ranks(neighbours, selections, place_P, selection_P, score_P, rule.window)
    reason_P = REASONS[selections.reason_S[selection_P]].astype(object)
    if rule.positive_min_score is not None:
        reason_P[score_P < np.float32(rule.positive_min_score)] = POSITIVE_SCORE
    if rule.positive_max_rank is not None:
        reason_P[(rank_P == 0) | (rank_P > rule.positive_max_rank)] = POSITIVE_RANK
    if rule.positives == "best":
        reason_P[pair_P != best_Q[query_P]] = NOT_BEST
    pairs = _Pairs(pair_P, query_P, place_P, selection_P, rank_P, reason_P)
    return _tables(task, batch, neighbours, selections, pairs)


class _Pairs(NamedTuple):
    """Pairs of the queries whose neighbours were found."""

    pair: NDArray[np.int64]  # position in the pairs of the batch
    query: NDArray[np.int64]
    place: NDArray[np.int64]  # of the query among the neighbours
    selection: NDArray[np.int64]
    rank: NDArray[np.int64]
    reason: NDArray[np.object_]


def _barred(batch: QueryBatch, neighbours: Neighbours, place_Q: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask [F, K] of the neighbours that are barred."""
    barred_FK = np.zeros(neighbours.rows.shape, bool)
    searched = place_Q[batch.barred_query] != NO_ROW
    place_B, row_B = place_Q[batch.barred_query[searched]], batch.barred_row[searched]
    for some in _slices(len(place_B), neighbours):
        hit, column = np.nonzero(neighbours.rows[place_B[some]] == row_B[some, None])
        barred_FK[place_B[some][hit], column] = True
    return barred_FK


def _least_and_best_positive(batch: QueryBatch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """By query: the least score of its positives, and the pair of the best (of equal ones the first)."""
    least_Q = np.full(len(batch.ids), np.inf, np.float32)
    best_Q = np.full(len(batch.ids), NO_ROW)
    pairs = np.flatnonzero(batch.positive_row != NO_ROW)
    np.minimum.at(least_Q, batch.positive_query[pairs], batch.positive_score[pairs])
    # In rising order of scores, and of equal ones the first pair last: the last assignment to a query is its best.
    order = pairs[np.lexsort((-pairs, batch.positive_score[pairs]))]
    best_Q[batch.positive_query[order]] = order
    return least_Q, best_Q


def _ranks(
    neighbours: Neighbours, selections: Selections, place_P: NDArray[np.int64], selection_P: NDArray[np.int64],
    score_P: NDArray[np.float32], window: int,
) -> NDArray[np.int64]:  # fmt: skip
    """1-based rank of each positive among the candidates of its query, 0 where it lies beyond the window.

    Counted by the candidates that score higher, so other positives and copies do not count against it.
    """
    rank_P = np.empty(len(place_P), np.int64)
    for some in _slices(len(place_P), neighbours):
        above = neighbours.scores[place_P[some]] > score_P[some, None]
        rank_P[some] = 1 + (above & selections.window_SK[selection_P[some]]).sum(1)
    rank_P[rank_P > window] = 0
    return rank_P


def _slices(rows: int, neighbours: Neighbours) -> Iterator[slice]:
    """Yield slices of `rows`, each of which meets at most COMPARED candidates."""
    step = max(1, COMPARED // max(1, neighbours.rows.shape[1]))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _tables(
    task: Retrieval, batch: QueryBatch, neighbours: Neighbours, selections: Selections, pairs: _Pairs
) -> MinedRows:
    """Pairs as rows of the two tables: tuples where the reason is OK, else rejected pairs."""
    kept, lost = (_Pairs(*(field[mask] for field in pairs)) for mask in (pairs.reason == OK, pairs.reason != OK))
    scores = [float(score) if np.isfinite(score) else None for score in batch.positive_score[lost.pair].tolist()]
    rejected = {
        "query_id": [batch.ids[query] for query in lost.query.tolist()],
        "positive_id": [batch.positive_ids[pair] for pair in lost.pair.tolist()],
        "reason": lost.reason.tolist(),
        "candidates": selections.candidates_S[lost.selection],
        "kept": selections.kept_S[lost.selection],
        "positive_score": scores,
        "positive_rank": _nullable(lost.rank),
    }
    query_ids = [batch.ids[query] for query in kept.query.tolist()]
    positive_ids = [batch.positive_ids[pair] for pair in kept.pair.tolist()]
    tuples = {
        "tuple_id": [tuple_id(task.source, *ids) for ids in zip(query_ids, positive_ids, strict=True)],
        "query_id": query_ids,
        "query_row": batch.first + kept.query,
        "positive_row": batch.positive_row[kept.pair],
        "positive_score": batch.positive_score[kept.pair],
        "positive_rank": _nullable(kept.rank),
        **_negatives(batch, neighbours, selections, kept, most=task.rule.negatives),
    }
    return MinedRows(pa.table(tuples, schema=TUPLES), pa.table(rejected, schema=REJECTED))


def _negatives(
    batch: QueryBatch, neighbours: Neighbours, selections: Selections, kept: _Pairs, *, most: int
) -> dict[str, pa.Array]:
    """List columns of the negatives of some pairs: given ones first, then mined ones by rank."""
    given_pair_T, given_T = _spread(batch.given_query, len(batch.ids), kept.query, most=most)
    mined_pair_T, mined_T = _spread(selections.taken_selection, len(selections.reason_S), kept.selection, most=most)
    place_T, column_T = kept.place[mined_pair_T], selections.taken_column[mined_T]
    # A stable sort by pair puts the given ones of a pair before its mined ones and keeps the order of both.
    pair_T = np.concatenate([given_pair_T, mined_pair_T])
    order = np.argsort(pair_T, kind="stable")
    rows = np.concatenate([batch.given_row[given_T], neighbours.rows[place_T, column_T]])[order]
    scores = np.concatenate([batch.given_score[given_T], neighbours.scores[place_T, column_T]])[order]
    ranks = np.concatenate([np.zeros(len(given_T), np.int64), selections.taken_rank[mined_T]])[order]
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
    """(pair, item) for each pair and the first `most` items of its owner; `owner_T` is sorted."""
    count = np.bincount(owner_T, minlength=owners)
    starts = np.cumsum(count) - count
    count_P = np.minimum(count, most)[owner_P]
    pair_T = np.repeat(np.arange(len(owner_P)), count_P)
    within = np.arange(len(pair_T)) - np.repeat(np.cumsum(count_P) - count_P, count_P)
    return pair_T, starts[owner_P][pair_T] + within


def _nullable(numbers: NDArray[np.int64]) -> pa.Array:
    """Ranks as int32, null where 0."""
    return pa.array(numbers.astype(np.int32), mask=numbers == 0)


def _excluded(passages: PassageLookup, positives: list[int], text_rows: list[int], *, copies: bool) -> set[int]:
    """The positives in the corpus, the rows `text_rows` that have the query's text, and `copies` of these."""
    rows = {*positives, *text_rows[:1]} - {NO_ROW}  # near copies are those of the text's first row
    alike = [passages.alike.get(row, ()) for row in rows] if copies else ()
    return rows.union(text_rows, *alike)


def _flat(lists: list[list]) -> tuple[NDArray[np.int64], list]:  # type: ignore[type-arg]
    """(position of its list, item) of every item."""
    owners = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    return owners, [item for items in lists for item in items]
