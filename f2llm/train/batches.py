"""The batch of a step: its distinct sequences, and which of them is whose positive and negative.

Shapes: B tuples, P distinct passages, K candidates of a tuple (positive first).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.tables import read_table
from f2llm.train.losses import NO_PASSAGE
from f2llm.train.settings import RunFile
from f2llm.train.tokens import Rows


class Batch(NamedTuple):
    """One step's batch of one source; the same in every process.

    Attributes:
        sequences: token ids of B queries, then of P distinct passages.
        candidates_BK: rows among the P passages, the positive first, NO_PASSAGE where there are fewer.
        equal_BB: true where the column's positive also is a positive of the row's query.
        tuple_ids: hex ids of the B tuples, for messages.
    """

    step: int
    source: str
    task: str
    sequences: list[NDArray[np.int32]]
    candidates_BK: NDArray[np.int64]
    equal_BB: NDArray[np.bool_]
    tuple_ids: list[str]


class _Source(NamedTuple):
    """Tuples of a source by row, and its token rows, mapped."""

    task: str
    query_rows: NDArray[np.int32]
    positive_rows: NDArray[np.int32]
    negative_rows: NDArray[np.int32]
    negative_starts: NDArray[np.int64]
    queries: Rows
    passages: Rows
    positives: Rows


class Batches:
    """Batches of a planned run by step."""

    def __init__(self, run: RunFile, *, plan: str | Path) -> None:
        table = read_table(plan, columns=["step", "source", "tuple_id", "tuple_row", "negatives"]).combine_chunks()
        tasks = {source.name: source.task for source in run.settings.sources}
        self._table = table
        self._starts = np.searchsorted(table["step"].to_numpy(), np.arange(run.settings.train.steps + 1))
        self._sources = {
            source.name: _read_source(source.tuples, source.tokens, task=tasks[source.name]) for source in run.sources
        }

    def __getitem__(self, step: int) -> Batch:
        rows = self._table.slice(self._starts[step], self._starts[step + 1] - self._starts[step])
        name = rows["source"][0].as_py()
        source = self._sources[name]
        tuples = rows["tuple_row"].to_numpy()
        passages_BK = _candidates(source, tuples, rows["negatives"].to_pylist())
        distinct_P = np.unique(passages_BK[passages_BK != NO_PASSAGE])
        candidates_BK = np.where(passages_BK == NO_PASSAGE, NO_PASSAGE, np.searchsorted(distinct_P, passages_BK))
        queries = source.query_rows[tuples]
        sequences = [source.queries[row] for row in queries] + [source.passages[row] for row in distinct_P]
        return Batch(
            step=step,
            source=name,
            task=source.task,
            sequences=sequences,
            candidates_BK=candidates_BK,
            equal_BB=equal_positives(source.positive_rows[tuples], [source.positives[row] for row in queries]),
            tuple_ids=[tuple_id.hex() for tuple_id in rows["tuple_id"].to_pylist()],
        )


def equal_positives(positives_B: NDArray[np.int32], all_positives: list[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Return [B, B]: is the column's positive the row's own, or another positive of the row's query?"""
    known = (np.isin(positives_B, others) for others in all_positives)
    return (positives_B[:, None] == positives_B[None, :]) | np.stack(list(known))


def _candidates(source: _Source, tuples: NDArray[np.int32], drawn: list[list[int]]) -> NDArray[np.int64]:
    """Return corpus rows [B, K]: the positive, then the drawn negatives."""
    passages_BK = np.full((len(tuples), 1 + max(map(len, drawn))), NO_PASSAGE, np.int64)
    passages_BK[:, 0] = source.positive_rows[tuples]
    for slot, positions in enumerate(drawn):
        start = source.negative_starts[tuples[slot]]
        passages_BK[slot, 1 : 1 + len(positions)] = source.negative_rows[start + np.array(positions, np.int64)]
    return passages_BK


def _read_source(tuples: str | Path, tokens: str | Path, *, task: str) -> _Source:
    table = read_table(tuples, columns=["query_row", "positive_row", "negative_rows"]).combine_chunks()
    lists = table["negative_rows"].combine_chunks()
    lengths = lists.value_lengths().to_numpy(zero_copy_only=False)
    return _Source(
        task=task,
        query_rows=table["query_row"].to_numpy(),
        positive_rows=table["positive_row"].to_numpy(),
        negative_rows=lists.flatten().to_numpy(zero_copy_only=False),
        negative_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        queries=Rows(Path(tokens, "queries")),
        passages=Rows(Path(tokens, "passages")),
        positives=Rows(Path(tokens, "positives")),
    )
