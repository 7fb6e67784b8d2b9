"""The rows of an evaluation task, drawn from the normalised tables of its source.

They are drawn by a keyed hash: the same rows for every run, seed and row order. The key is a constant, not the seed of
the run, so that runs with different seeds are scored on the same rows. Memory holds the drawn rows.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from f2llm.config.benchmarks import Task
from f2llm.evaluate.tasks.data import PROBE, SCORED, TaskData, TaskText, write_task_data, write_texts
from f2llm.records.errors import InputError
from f2llm.records.ids import doc_id, keyed_hash
from f2llm.records.schemas.sources import SourceTables
from f2llm.records.tables import count_rows, read_batches
from f2llm.records.text_keys import content_key

SCORED_STAGE, PROBE_STAGE, CORPUS_STAGE = "benchmark", "benchmark-probe", "benchmark-corpus"
SEED = 0
ALL = "all"


class SourceQuery(NamedTuple):
    """A row of queries.parquet."""

    id: bytes
    text: str
    positives: list[bytes]
    label: str | None
    grade: float | None
    group: str

    @property
    def key(self) -> str:
        """The E1 key: equal for texts that differ in case, spacing or width alone."""
        return content_key(self.text)


class SourcePassage(NamedTuple):
    """A row of corpus.parquet."""

    id: bytes
    text: str
    key: str


Row = TypeVar("Row", SourceQuery, SourcePassage)


def read_queries(path: str | Path, *, split: str = ALL) -> Iterator[SourceQuery]:
    """The queries of one split, or of all."""
    columns = ["query_id", "text", "positives", "label", "grade", "group", "split"]
    for batch in read_batches(path, columns=columns):
        for *values, row_split in zip(*(batch[name].to_pylist() for name in columns), strict=True):
            if split in (ALL, row_split):
                yield SourceQuery(*values)


def read_passages(path: str | Path) -> Iterator[SourcePassage]:
    """The passages of a corpus."""
    columns = ["doc_id", "text", "content_key"]
    for batch in read_batches(path, columns=columns):
        yield from map(SourcePassage._make, zip(*(batch[name].to_pylist() for name in columns), strict=True))


def draw(
    rows: Callable[[], Iterable[Row]], *, count: int | None, stage: str, key: Callable[[Row], str] | None = None
) -> list[Row]:
    """The `count` rows whose keyed hashes are smallest (None: all), in that order.

    Of rows with an equal `key` (their E1 key, unless given) only the first is drawn. `rows` is called again when too
    many of the first rows are equal. Fewer than `count` are returned when there are no more; the caller decides whether
    that is a fault.
    """
    pool = None if count is None else 2 * count
    while True:
        ranked = ((keyed_hash(SEED, stage, row.id), row.id, row) for row in rows())
        first = sorted(ranked) if pool is None else heapq.nsmallest(pool, ranked)
        distinct: dict[str, Row] = {}
        for *_, row in first:
            distinct.setdefault(key(row) if key else row.key, row)
        if pool is None or len(distinct) >= count or len(first) < pool:
            return list(distinct.values())[:count]
        pool *= 2


def build_task(task: Task, tables: SourceTables, *, folder: str | Path, texts: str | Path) -> dict[str, Any]:
    """Write the task's folder (f2llm.evaluate.tasks.data) and its texts (schema TEXTS); return counts.

    Texts with an equal E1 key count as one text, which is drawn once; what is relevant to one copy is relevant to all.
    A source without rows (skipped) gives a task without rows.

    Raises:
        InputError: the source has fewer rows than the task asks for, with both counts.
    """
    skipped = not count_rows(tables.queries)
    data = _empty(task) if skipped else _BUILDERS[task.type](task, tables)
    write_task_data(folder, data, task=task)
    count = write_texts(texts, data.texts, task=task, notes={"skipped": "the source has no rows"} if skipped else None)
    return {"rows_in": count_rows(tables.queries), "skipped": skipped, "texts": count} | data.counts()


def _retrieval(task: Task, tables: SourceTables) -> TaskData:
    drawn = _drawn(task, tables, lambda row: row.positives)
    relevant, near = _relevant(drawn, tables.queries)
    passages, stands_for = _passages(task, tables.corpus, wanted=set().union(*relevant.values()), near=near)
    drawn, passages = sorted(drawn), sorted(passages)
    judged = sorted({(query.id, stands_for[doc]) for query in drawn for doc in relevant[query.key]})
    return TaskData(
        files={
            "queries": [{"_id": query.id.hex(), "text": query.text} for query in drawn],
            "corpus": [{"_id": passage.id.hex(), "text": passage.text} for passage in passages],
            "qrels": [{"query-id": query.hex(), "corpus-id": doc.hex(), "score": 1} for query, doc in judged],
        },
        texts=(*_texts(task, "query", drawn), *_texts(task, "corpus", passages)),
    )


def _relevant(drawn: Sequence[SourceQuery], queries: str | Path) -> tuple[dict[str, set[bytes]], set[bytes]]:
    """E1 key of a drawn query -> its positives; and the positives of other queries in the same groups.

    Positives of all queries with an equal E1 key are joined: what answers "foo" answers "Foo".
    """
    relevant: dict[str, set[bytes]] = {query.key: set() for query in drawn}
    groups = {query.group for query in drawn}
    near: set[bytes] = set()
    for row in read_queries(queries):
        if row.key in relevant:
            relevant[row.key].update(row.positives)
        elif row.group in groups:
            near.update(row.positives)
    return relevant, near


def _passages(
    task: Task, corpus: str | Path, *, wanted: set[bytes], near: set[bytes]
) -> tuple[list[SourcePassage], dict[bytes, bytes]]:
    """The task's corpus, and for each positive the id of the passage that stands for it and its copies.

    The corpus holds the positives (`wanted`), then those of the same groups (`near`, the hard ones) up to half of its
    size, the rest from the whole corpus of the source.
    """
    drawn: dict[str, SourcePassage] = {}  # by E1 key
    positives = sorted(row for row in read_passages(corpus) if row.id in wanted)
    for passage in positives:
        drawn.setdefault(passage.key, passage)
    stands_for = {row.id: drawn[row.key].id for row in positives}
    if task.passages is not None and len(drawn) > task.passages:
        raise InputError(
            f"benchmark task {task.name}: passages is {task.passages}, its queries alone have {len(drawn)} relevant "
            "ones; raise passages or lower queries"
        )

    def others(among: set[bytes] | None = None) -> Callable[[], Iterator[SourcePassage]]:
        taken = frozenset(drawn)
        return lambda: (
            row for row in read_passages(corpus) if row.key not in taken and (among is None or row.id in among)
        )

    if task.passages is not None:
        hard = min(task.passages // 2, task.passages - len(drawn))
        drawn |= {row.key: row for row in draw(others(near), count=hard, stage=CORPUS_STAGE)}
    rest = None if task.passages is None else task.passages - len(drawn)
    drawn |= {row.key: row for row in draw(others(), count=rest, stage=CORPUS_STAGE)}
    _check_count(task, "passages", len(drawn), task.passages)
    return list(drawn.values()), stands_for


def _classification(task: Task, tables: SourceTables) -> TaskData:
    scored = _drawn(task, tables, _is_labelled)
    seen = {row.key for row in scored}
    probe = _drawn(task, tables, lambda row: _is_labelled(row) and row.key not in seen, probe=True)
    _check_labels(task, probe, "train_texts")
    names = sorted({row.label for row in (*scored, *probe)})
    files = {
        # Numbers, because mteb's binary metrics do not take names.
        name: [{"text": row.text, "label": names.index(row.label)} for row in sorted(rows)]
        for name, rows in ((SCORED, scored), (PROBE, probe))
    }
    return TaskData(files=files, texts=_texts(task, "text", scored), label_names=tuple(names))


def _clustering(task: Task, tables: SourceTables) -> TaskData:
    drawn = _drawn(task, tables, _is_labelled)
    _check_labels(task, drawn, "queries")
    rows = [{"sentences": row.text, "labels": row.label} for row in sorted(drawn)]
    return TaskData(files={SCORED: rows}, texts=_texts(task, "text", drawn))


def _sts(task: Task, tables: SourceTables) -> TaskData:
    partners = {passage.id: passage.text for passage in read_passages(tables.corpus)}

    def pair_key(row: SourceQuery) -> str:
        return row.key + content_key(partners[row.positives[0]])

    drawn = _drawn(task, tables, lambda row: row.grade is not None, key=pair_key)
    pairs = [(row.text, partners[row.positives[0]], row.grade) for row in sorted(drawn)]
    texts = {text for first, second, _ in pairs for text in (first, second)}
    return TaskData(
        files={SCORED: [{"sentence1": a, "sentence2": b, "score": grade} for a, b, grade in pairs]},
        texts=tuple(TaskText(task.name, task.split, doc_id(text).hex(), "text", text) for text in texts),
    )


_BUILDERS: dict[str, Callable[[Task, SourceTables], TaskData]] = {
    "retrieval": _retrieval,
    "classification": _classification,
    "clustering": _clustering,
    "sts": _sts,
}


def _empty(task: Task) -> TaskData:
    names = {"retrieval": ("queries", "corpus", "qrels"), "classification": (SCORED, PROBE)}.get(task.type, (SCORED,))
    return TaskData(files={name: [] for name in names}, texts=())


def _drawn(
    task: Task,
    tables: SourceTables,
    wanted: Callable[[SourceQuery], object],
    *,
    probe: bool = False,
    key: Callable[[SourceQuery], str] | None = None,
) -> list[SourceQuery]:
    """The scored queries of a task, or those of its `probe`, drawn from the `wanted` ones of their split."""
    what, count = ("train_texts", task.train_texts) if probe else ("queries", task.queries)
    split, stage = (PROBE, PROBE_STAGE) if probe else (task.split, SCORED_STAGE)
    drawn = draw(lambda: filter(wanted, read_queries(tables.queries, split=split)), count=count, stage=stage, key=key)
    _check_count(task, what, len(drawn), count)
    return drawn


def _is_labelled(row: SourceQuery) -> bool:
    return row.label is not None


def _check_count(task: Task, what: str, drawn: int, wanted: int | None) -> None:
    if drawn < (wanted or 1):
        where = "" if task.split == ALL else f" (split {task.split})"
        raise InputError(
            f"benchmark task {task.name}: {what} is {wanted or 'all'}, source {task.source!r} has {drawn}{where}, "
            f"equal texts counted once; lower {what} to {drawn} or take another source"
        )


def _check_labels(task: Task, rows: Sequence[SourceQuery], what: str) -> None:
    labels = {row.label for row in rows}
    if len(labels) < 2:
        raise InputError(
            f"benchmark task {task.name}: the {len(rows)} rows drawn of source {task.source!r} have one label, "
            f"{min(labels)!r}; raise {what}, or check the labels of the source"
        )


def _texts(task: Task, field: str, rows: Iterable[SourceQuery | SourcePassage]) -> tuple[TaskText, ...]:
    return tuple(TaskText(task.name, task.split, row.id.hex(), field, row.text) for row in rows)
