"""From rows read to rows trained on: what each stage let through, source by source."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from f2llm.config.sources import Source
from f2llm.records.tables import count_rows, read_batches, read_table
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import Layout

# Stages of removed.parquet in the order in which they run, by the column that counts what they left.
LEFT_BY = {
    "exact": ("exact", "across"),
    "near": ("near",),
    "clean": ("decontaminate",),
}
HELD_OUT = "split"
CORPUS = " (corpus)"


class Funnel(NamedTuple):
    """Queries of one source that each stage left, None where the run has not come so far.

    `removed` maps (role, stage, reason) to rows, `rejected` the miner's reasons to pairs. `published` are the
    tuples that a publication made of the same data, None where none states it.
    """

    source: str
    task: str
    raw: int | None  # rows of the files that held a query
    normalised: int | None  # distinct queries with a text
    evaluation: int | None  # of these, in the splits for evaluation
    training: int | None  # not held out: neither of these splits nor equal to a query of them
    exact: int | None  # after equal texts
    near: int | None  # after near copies
    clean: int | None  # after evaluation texts
    curated: int | None  # after the check of positives and the cap
    mined: int | None  # with at least one tuple
    tuples: int | None
    trained: int | None  # distinct tuples of the plan
    planned: int | None  # rows of the plan, repeats counted
    passages: int | None
    passages_curated: int | None
    removed: Mapping[tuple[str, str, str], int]
    rejected: Mapping[str, int]
    published: int | None

    @property
    def held_out(self) -> int | None:
        """Queries that are for evaluation, and those that equal one of them."""
        return None if self.normalised is None or self.training is None else self.normalised - self.training


def read_funnel(layout: Layout, *, jobs: Sequence[Mapping[str, Any]], gaps: Gaps) -> list[Funnel]:
    """The funnel of every trained source, counted in the tables; `jobs` are the manifests of the run."""
    planned: dict[str, tuple[int, int]] | None = None
    with gaps.noting("trained"):
        planned = read_planned(layout.of_run("plan.parquet"))
    read = {
        job["wildcards"].get("source"): job["counts"].get("queries_read")
        for job in jobs
        if job.get("rule") == "normalise_source"
    }
    return [_of(layout, source, raw=read.get(source.name), planned=planned, gaps=gaps) for source in layout.sources]


def read_planned(path: Path) -> dict[str, tuple[int, int]]:
    """Source -> (distinct tuples, rows) of a plan."""
    tuples = _grouped(read_table(path, columns=["source", "tuple_id"]), ["source", "tuple_id"])
    counts = tuples.group_by("source").aggregate([("rows", "count"), ("rows", "sum")]).to_pylist()
    return {row["source"]: (row["rows_count"], row["rows_sum"]) for row in counts}


def _of(
    layout: Layout, source: Source, *, raw: int | None, planned: Mapping[str, tuple[int, int]] | None, gaps: Gaps
) -> Funnel:
    name, counts = source.name, dict.fromkeys(Funnel._fields)
    counts |= {"source": name, "task": source.task, "raw": raw, "removed": {}, "rejected": {}}
    counts["published"] = source.expected.queries
    if planned is not None:
        counts["trained"], counts["planned"] = planned.get(name, (0, 0))
    with gaps.noting(f"{name}, normalised"):
        splits = read_table(layout.source(name) / "queries.parquet", columns=["split"])["split"]
        counts["normalised"] = len(splits)
        counts["training"] = pc.sum(pc.equal(splits, "train")).as_py() or 0
        counts["evaluation"] = len(splits) - counts["training"]
        counts["passages"] = count_rows(layout.source(name) / "corpus.parquet")
    with gaps.noting(f"{name}, curated"):
        counts["removed"] = read_removed(layout.curated(name) / "removed.parquet")
        counts["curated"] = count_rows(layout.curated(name) / "queries.parquet")
        counts["passages_curated"] = count_rows(layout.curated(name) / "corpus.parquet")
        if counts["training"] is not None:
            counts |= _left(counts["training"], counts["removed"])
    with gaps.noting(f"{name}, mined"):
        rows = read_table(layout.mined(name) / "tuples.parquet", columns=["query_id"])
        counts["tuples"] = len(rows)
        counts["mined"] = pc.count_distinct(rows["query_id"]).as_py()
        rejected = _grouped(read_table(layout.mined(name) / "rejected.parquet", columns=["reason"]), ["reason"])
        counts["rejected"] = {row["reason"]: row["rows"] for row in rejected.sort_by("reason").to_pylist()}
    return Funnel(**counts)


def read_removed(path: Path) -> dict[tuple[str, str, str], int]:
    """Return (role, stage, reason) -> rows of removed.parquet, sorted."""
    names = ["role", "stage", "reason"]
    kinds = _grouped(read_table(path, columns=names), names).to_pylist()
    return dict(sorted((tuple(row[name] for name in names), row["rows"]) for row in kinds))


def _left(training: int, removed: Mapping[tuple[str, str, str], int]) -> dict[str, int]:
    """What each stage of curation left of the queries for training."""
    by_stage: dict[str, int] = {}
    for (role, stage, _), rows in removed.items():
        if role == "query":
            by_stage[stage] = by_stage.get(stage, 0) + rows
    left = training - by_stage.get(HELD_OUT, 0)
    counts = {"training": left}
    for column, stages in LEFT_BY.items():
        left -= sum(by_stage.get(stage, 0) for stage in stages)
        counts[column] = left
    return counts


def _grouped(table: pa.Table, names: list[str]) -> pa.Table:
    """The distinct values of some columns with the number of their `rows`."""
    counted = table.group_by(names, use_threads=False).aggregate([([], "count_all")])
    return counted.rename_columns([*names, "rows"])


class Contamination(NamedTuple):
    """Evaluation texts of one task that were found in the training data."""

    task: str
    dropped: int  # rows
    reported: int  # rows that stayed
    evaluation_texts: int  # distinct ones that were found
    sources: Mapping[str, int]  # rows by source
    corpus: int  # rows that equal a text of the task's retrieval corpus; they stay


def read_contamination(layout: Layout, jobs: Sequence[Mapping[str, Any]]) -> list[Contamination]:
    """What was found of each task in all sources, by task; `jobs` are the manifests of the run."""
    rows: Counter[tuple[str, bool]] = Counter()
    by_source: Counter[tuple[str, str]] = Counter()
    texts: dict[str, set[str]] = {}
    for source in layout.sources:
        path = layout.curated(source.name) / "hits.parquet"
        for batch in read_batches(path, columns=["task", "test_id", "dropped"]):
            for task, test_id, dropped in zip(*(batch[column].to_pylist() for column in range(3)), strict=True):
                rows[task, dropped] += 1
                by_source[task, source.name] += 1
                texts.setdefault(task, set()).add(test_id)
    corpora = _corpora(jobs)
    return [
        Contamination(
            task,
            rows[task, True],
            rows[task, False],
            len(texts.get(task, ())),
            {source: count for (name, source), count in sorted(by_source.items()) if name == task},
            corpora[task],
        )
        for task in sorted({*texts, *corpora})
    ]


def _corpora(jobs: Sequence[Mapping[str, Any]]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for job in jobs:
        for role in ("queries", "passages") if job["rule"] == "curate_source" else ():
            for task, count in job["counts"].get(f"contaminated_{role}", {}).items():
                if task.endswith(CORPUS):
                    rows[task.removesuffix(CORPUS)] += count
    return rows
