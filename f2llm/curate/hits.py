"""The evaluation texts that a source contains: one entry for each of its rows and each task that the row hits."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from f2llm.curate.decontaminate import EvaluationTexts, Hits, best_dropping
from f2llm.curate.ledger import Cause, Ledger
from f2llm.curate.passages import Passages
from f2llm.curate.queries import Queries
from f2llm.curate.rows import Ints, joined
from f2llm.records.schemas.curate import HITS
from f2llm.records.tables import numbered, read_batches, write_table


class HitLog:
    """The hits of the passages or the queries of a source; 29 bytes each."""

    def __init__(self) -> None:
        self._parts: list[Hits] = []

    def match(
        self, parts: Iterator[tuple[Ints, list[str]]], evaluation: EvaluationTexts, *, ledger: Ledger, dropping: bool
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
                ledger.remove(hit, Cause.CONTAMINATED, similarity=best.containment, evidence=evidence)
        return dict(sorted(counts.items()))

    def hits(self) -> Hits:
        """All hits; position is the row of the table."""
        return Hits(*joined(self._parts, np.int64, np.int64, np.float64, "U7", bool))


def write_hits(
    path: str | Path,
    *,
    passages: tuple[HitLog, Passages],
    queries: tuple[HitLog, Queries],
    evaluation: EvaluationTexts | None,
) -> int:
    """Write all hits with both texts: passages before queries, each by id and task. Texts are streamed."""
    rows_of_queries = ((rows[0], batch) for rows, batch in queries[1].batches(columns=["query_id", "text"]))
    sides = (
        ("passage", passages[0], numbered(read_batches(passages[1].path, columns=["doc_id", "text"], rows=1024))),
        ("query", queries[0], rows_of_queries),
    )
    tables = (_joined(log.hits(), rows, role=role, evaluation=evaluation) for role, log, rows in sides)
    return write_table(path, schema=HITS, rows=itertools.chain.from_iterable(tables))


def _joined(
    hits: Hits, batches: Iterator[tuple[int, pa.RecordBatch]], *, role: str, evaluation: EvaluationTexts
) -> Iterator[pa.Table]:
    """Yield the hits beside the rows that they are in; `hits` come by rising position."""
    if not len(hits.position):
        return
    for first, batch in batches:
        part = slice(*np.searchsorted(hits.position, [first, first + len(batch)]))
        if part.start == part.stop:
            continue
        batch_hits = Hits(*(column[part] for column in hits))
        hit_rows = batch.take(pa.array(batch_hits.position - first))
        columns = evaluation.columns(batch_hits)
        own = {"id": hit_rows.column(0), "role": pa.repeat(role, len(hit_rows)), "text": hit_rows.column(1)}
        yield pa.table(columns | own | {"field": columns["test_field"], "dropped": columns["counts"]})
