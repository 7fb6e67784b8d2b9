"""Hard negatives of queries that have positives: searched, then selected."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.run import Mine
from f2llm.encode.store import VectorView
from f2llm.mine.outcome import GIVEN, MINED, Kept, Rejected
from f2llm.mine.passages import NO_ROW, Passages
from f2llm.mine.search import queries_at_once, score_pairs, search
from f2llm.mine.select import OK, Selection, select
from f2llm.progress import Progress
from f2llm.records.ids import tuple_id
from f2llm.records.text_keys import content_key

MISSING_POSITIVE = "missing_positive"
NO_POSITIVE = "no_positive"


class Ask(NamedTuple):
    """One query, with rows of its passages."""

    row: int
    query_id: bytes
    positives: dict[bytes, int]  # doc_id -> row; NO_ROW where the corpus lacks it
    given: list[int]
    exclude: set[int]


class Retrieval(NamedTuple):
    """What is searched: the passages and the vectors of passages and queries, in the order of their tables."""

    source: str
    passages: Passages
    passage_vectors: VectorView
    query_vectors: VectorView
    rule: Mine


def mine_queries(task: Retrieval, queries: pa.Table, *, stats: Counter[str]) -> Iterator[Kept | Rejected]:
    """Yield a tuple or a rejected pair for every (query, positive); count in `stats` where the positives stand."""
    size = queries_at_once(task.rule.window)
    with Progress(f"mine {task.source}", total=len(queries), unit="queries") as bar:
        for first in range(0, len(queries), size):
            part = queries.slice(first, size)
            yield from _mine_part(task, _asks(task.passages, part, first), stats, bar)


def _mine_part(task: Retrieval, asks: list[Ask], stats: Counter[str], bar: Progress) -> Iterator[Kept | Rejected]:
    vectors_QD = task.query_vectors.rows(np.array([ask.row for ask in asks]))
    scores = _known_scores(task, asks, vectors_QD)
    wanted = np.array([task.rule.window + len(ask.exclude | set(ask.given)) for ask in asks])
    for found in search(vectors_QD, task.passage_vectors, wanted_Q=wanted, block_rows=task.rule.block_rows):
        for at, near_scores, near_rows in zip(found.queries, found.scores, found.rows, strict=True):
            _count_positions(stats, asks[at], near_rows, window=task.rule.window)
            yield from _mine_one(task, asks[at], near_scores, near_rows, scores[at])
            bar.advance()


def _mine_one(
    task: Retrieval, ask: Ask, near_scores: NDArray[np.float32], near_rows: NDArray[np.int64], scores: dict[int, float]
) -> Iterator[Kept | Rejected]:
    """Yield what becomes of the pairs of one query; `scores` are those of its positives and given negatives."""
    present = {doc: row for doc, row in ask.positives.items() if row != NO_ROW}
    if not ask.positives:
        yield Rejected(ask.query_id, None, NO_POSITIVE, 0, 0, None)
    least = float(np.min([scores[row] for row in present.values()])) if present else 0.0
    chosen: dict[float, Selection] = {}
    for doc, row in ask.positives.items():
        if row == NO_ROW:
            yield Rejected(ask.query_id, doc, MISSING_POSITIVE, 0, 0, None)
            continue
        limit = least if task.rule.several_positives == "min" else scores[row]
        if limit not in chosen:
            chosen[limit] = select(
                near_scores, near_rows, positive_score=limit, exclude=ask.exclude, given=ask.given, rule=task.rule
            )
        yield _outcome(task, ask, (doc, row), chosen[limit], scores)


def _outcome(
    task: Retrieval, ask: Ask, positive: tuple[bytes, int], selection: Selection, scores: dict[int, float]
) -> Kept | Rejected:
    doc, row = positive
    score = scores[row] if np.isfinite(scores[row]) else None
    if selection.reason != OK:
        return Rejected(ask.query_id, doc, selection.reason, selection.candidates, selection.kept, score)
    given, mined = selection.given, selection.mined
    return Kept(
        tuple_id=tuple_id(task.source, ask.query_id, doc),
        query_id=ask.query_id,
        query_row=ask.row,
        positive_row=row,
        positive_score=score,
        negative_rows=[*given, *mined],
        negative_scores=[*(scores[row] for row in given), *selection.scores],
        negative_ranks=[*(None for _ in given), *selection.ranks],
        negative_kinds=[GIVEN] * len(given) + [MINED] * len(mined),
    )


def _asks(passages: Passages, queries: pa.Table, first: int) -> list[Ask]:
    """Return the queries of a part of the table that begins at row `first`."""
    own = passages.rows_of_keys([content_key(text) for text in queries["text"].to_pylist()])
    positives, negatives = queries["positives"].to_pylist(), queries["negatives"].to_pylist()
    positive_rows, negative_rows = _rows_of_lists(passages, positives), _rows_of_lists(passages, negatives)
    asks = []
    for at, query in enumerate(queries["query_id"].to_pylist()):
        found = dict(zip(positives[at], positive_rows[at], strict=True))
        barred = [row for row in (own[at], *positive_rows[at]) if row != NO_ROW]
        exclude = set().union(*(passages.same(row) for row in barred))
        given = [row for row in negative_rows[at] if row != NO_ROW]
        asks.append(Ask(first + at, query, found, given, exclude))
    return asks


def _rows_of_lists(passages: Passages, lists: Sequence[Sequence[bytes]]) -> list[list[int]]:
    rows = iter(passages.rows([doc for docs in lists for doc in docs]))
    return [[next(rows) for _ in docs] for docs in lists]


def _known_scores(task: Retrieval, asks: list[Ask], vectors_QD: NDArray[np.float16]) -> list[dict[int, float]]:
    """Return row -> canonical score of the positives and given negatives of each query."""
    wanted = [[row for row in {*ask.positives.values(), *ask.given} if row != NO_ROW] for ask in asks]
    query_P = np.repeat(np.arange(len(asks)), [len(rows) for rows in wanted])
    row_P = np.array([row for rows in wanted for row in rows], np.int64)
    scores = iter(
        score_pairs(
            vectors_QD, task.passage_vectors, query_P=query_P, row_P=row_P, block_rows=task.rule.block_rows
        ).tolist()
    )
    return [{row: next(scores) for row in rows} for rows in wanted]


def _count_positions(stats: Counter[str], ask: Ask, near_rows: NDArray[np.int64], *, window: int) -> None:
    """Count whether the best positive of a query is the nearest passage, or within the window."""
    near = near_rows[:window]
    hits = np.flatnonzero((near != NO_ROW) & np.isin(near, list(ask.positives.values())))
    stats["positive_nearest"] += bool(len(hits) and hits[0] == 0)
    stats["positive_in_window"] += bool(len(hits))
