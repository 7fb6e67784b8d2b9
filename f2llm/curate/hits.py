"""The evaluation texts that a source contains: one entry for each of its rows and each task that the row hits."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.curate.decontaminate import EvaluationTexts, Hits, best_dropping
from f2llm.curate.ledger import CONTAMINATED, Ledger
from f2llm.curate.passages import Passages
from f2llm.curate.queries import Queries
from f2llm.records.schemas.curate import HITS
from f2llm.records.tables import read_batches, write_table


class HitLog:
    """The hits of the passages or the queries of a source; 29 bytes each."""

    def __init__(self) -> None:
        self._parts: list[Hits] = []

    def match(
        self,
        parts: Iterator[tuple[NDArray[np.int64], list[str]]],
        evaluation: EvaluationTexts,
        *,
        ledger: Ledger,
        dropping: bool,
    ) -> dict[str, int]:
        """Add the hits of (rows, comparable forms), and remove their rows from the ledger if they are `dropping`.

        Returns task -> rows that hit its texts; with "(short)" rows that hit too short ones, with
        "(corpus)" rows that equal a text of its retrieval corpus.
        """
        counts: Counter[str] = Counter()
        for rows, forms in parts:
            hits = evaluation.match(forms)
            tasks = [place.task for place in evaluation.places(hits.text.tolist())]
            counts.update(
                task if drops else f"{task} (short)" for task, drops in zip(tasks, hits.drops.tolist(), strict=True)
            )
            counts.update({f"{task} (corpus)": equal for task, equal in evaluation.in_corpora(forms).items() if equal})
            self._parts.append(hits._replace(position=rows[hits.position], drops=hits.drops & dropping))
            if dropping:
                best = best_dropping(hits)
                hit = rows[best.position]
                evidence = dict(zip(hit.tolist(), evaluation.evidence(best), strict=True))
                ledger.remove(hit, CONTAMINATED, similarity=best.containment, evidence=evidence)
        return dict(sorted(counts.items()))

    def hits(self) -> Hits:
        """All hits; position is the row of the table."""
        kinds = (np.int64, np.int64, np.float64, "U7", bool)
        columns = zip(*self._parts, strict=True) if self._parts else ((),) * len(kinds)
        return Hits(
            *(np.concatenate([np.zeros(0, kind), *column]) for kind, column in zip(kinds, columns, strict=True))
        )


def write_hits(
    path: str | Path,
    *,
    passages: tuple[HitLog, Passages],
    queries: tuple[HitLog, Queries],
    evaluation: EvaluationTexts | None,
) -> int:
    """Write all hits with both texts: passages before queries, each by id and task. Texts are streamed."""

    def tables() -> Iterator[pa.Table]:
        if evaluation is not None:
            rows = _numbered(passages[1].path)
            yield from _joined(passages[0].hits(), rows, role="passage", evaluation=evaluation)
            rows = queries[1].batches(columns=["query_id", "text"])
            yield from _joined(queries[0].hits(), rows, role="query", evaluation=evaluation)

    return write_table(path, schema=HITS, rows=tables())


def _numbered(path: Path) -> Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]:
    start = 0
    for batch in read_batches(path, columns=["doc_id", "text"], rows=1024):
        yield np.arange(start, start + len(batch)), batch
        start += len(batch)


def _joined(
    hits: Hits,
    batches: Iterator[tuple[NDArray[np.int64], pa.RecordBatch]],
    *,
    role: str,
    evaluation: EvaluationTexts,
) -> Iterator[pa.Table]:
    """Yield the hits beside the rows that they are in; `hits` come by rising position."""
    if not len(hits.position):
        return
    for rows, batch in batches:
        part = slice(*np.searchsorted(hits.position, [rows[0], rows[-1] + 1]))
        if part.start == part.stop:
            continue
        batch_hits = Hits(*(column[part] for column in hits))
        places = evaluation.places(batch_hits.text.tolist())
        hit_rows = batch.take(pa.array(batch_hits.position - rows[0]))
        yield pa.table(
            {
                "id": hit_rows.column(0),
                "role": pa.repeat(role, len(hit_rows)),
                "task": pa.array([place.task for place in places], pa.string()),
                "split": pa.array([place.split for place in places], pa.string()),
                "test_id": pa.array([place.id for place in places], pa.string()),
                "field": pa.array([place.field for place in places], pa.string()),
                "rule": pa.array(batch_hits.rule.tolist(), pa.string()),
                "containment": pa.array(batch_hits.containment, pa.float32()),
                "dropped": pa.array(batch_hits.drops),
                "text": hit_rows.column(1),
                "test_text": pa.array([place.text for place in places], pa.string()),
            }
        )
