"""The batches of a step: their distinct sequences, and which of these are the positive and negatives of each query.

The plan is read by row groups and token rows from memory maps, so memory does not grow with the corpus.
Shapes: B tuples, P distinct passages, K candidates of a tuple (positive first).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from f2llm.records.ragged import Rows
from f2llm.runs.run_file import RunFile
from f2llm.train.losses.batch_vectors import NO_PASSAGE

COLUMNS = ["step", "batch", "source", "tuple_id", "query_row", "positive_row", "negative_rows"]
# Token rows of a source, in the order of the fields of _Source.
PARTS = ("queries", "passages", "positives")


class Batch(NamedTuple):
    """One batch of one source; the same in every process.

    Attributes:
        sequences: token ids of B queries, then of P distinct passages.
        candidates_BK: rows among the P passages: the positive, then the negatives; NO_PASSAGE where there are fewer.
        equal_BB: true where the positive of column b is also right for the query of row b.
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
    """Task of a source, and its token rows as memory maps."""

    task: str
    queries: Rows
    passages: Rows
    positives: Rows


class Batches:
    """The batches of a planned run: `batches[step]` are those of one step, `len(batches)` is the number of steps."""

    def __init__(self, run: RunFile, *, plan: str | Path) -> None:
        tasks = {source.name: source.task for source in run.settings.sources}
        self._plan = _Plan(plan)
        self._sources = {
            source.name: _Source(tasks[source.name], *(Rows(Path(source.tokens, part)) for part in PARTS))
            for source in run.sources
        }

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> list[Batch]:
        rows = self._plan.rows(step)
        ends = np.flatnonzero(np.diff(rows["batch"].to_numpy(), append=-1)) + 1
        starts = np.concatenate([[0], ends[:-1]])
        return [self._batch(rows.slice(start, end - start), step) for start, end in zip(starts, ends, strict=True)]

    def _batch(self, rows: pa.Table, step: int) -> Batch:
        name = rows["source"][0].as_py()
        source = self._sources[name]
        positives, queries = rows["positive_row"].to_numpy(), rows["query_row"].to_numpy()
        passages_BK = _candidates(positives, rows["negative_rows"])
        # Each passage is encoded once, however many tuples have it: corpus rows become rows among the distinct ones.
        distinct_P = np.unique(passages_BK[passages_BK != NO_PASSAGE])
        candidates_BK = np.where(passages_BK == NO_PASSAGE, NO_PASSAGE, np.searchsorted(distinct_P, passages_BK))
        return Batch(
            step=step,
            source=name,
            task=source.task,
            sequences=[source.queries[row] for row in queries] + [source.passages[row] for row in distinct_P],
            candidates_BK=candidates_BK,
            equal_BB=equal_positives(positives, [source.positives[row] for row in queries]),
            tuple_ids=[tuple_id.hex() for tuple_id in rows["tuple_id"].to_pylist()],
        )


class _Plan:
    """Rows of plan.parquet by step; keeps the row groups of the step that was read last."""

    def __init__(self, path: str | Path) -> None:
        self._file = pq.ParquetFile(path)
        column = self._file.schema_arrow.get_field_index("step")
        groups = (self._file.metadata.row_group(number) for number in range(self._file.num_row_groups))
        bounds = [group.column(column).statistics for group in groups]
        self._first = np.array([bound.min for bound in bounds], np.int64)
        self._last = np.array([bound.max for bound in bounds], np.int64)
        self.steps = int(self._last[-1]) + 1 if len(self._last) else 0
        self._held: dict[int, pa.Table] = {}

    def rows(self, step: int) -> pa.Table:
        groups = np.flatnonzero((self._first <= step) & (step <= self._last)).tolist()
        self._held = {group: self._held.get(group) or self._file.read_row_group(group, COLUMNS) for group in groups}
        of_step = [table.filter(pc.equal(table["step"], step)) for table in self._held.values()]
        return pa.concat_tables(of_step).combine_chunks()


def equal_positives(positives_B: NDArray[np.int32], all_positives: list[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """[B, B]: whether the positive of the column is a positive of the query of the row."""
    equal_BB = positives_B[:, None] == positives_B[None, :]
    for row, known in enumerate(all_positives):
        if len(known) > 1:  # a single one is the positive of the row, compared above
            equal_BB[row] |= np.isin(positives_B, known)
    return equal_BB


def _candidates(positives: NDArray[np.int32], negatives: pa.ChunkedArray) -> NDArray[np.int64]:
    """Corpus rows [B, K]: the positive, then the drawn negatives, then NO_PASSAGE."""
    counts = pc.list_value_length(negatives).to_numpy()
    passages_BK = np.full((len(positives), 1 + counts.max()), NO_PASSAGE, np.int64)
    passages_BK[:, 0] = positives
    passages_BK[:, 1:][np.arange(counts.max()) < counts[:, None]] = pc.list_flatten(negatives).to_numpy()
    return passages_BK
