"""What differs between two runs, stage by stage, and the likely cause of each difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.errors import InputError
from f2llm.lineage.diff.causes import Causes
from f2llm.lineage.trace.backward import MEND
from f2llm.records.scores import points_of, read_result, score_files
from f2llm.records.sql import ask
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.manifests import Job, jobs_of, read_jobs
from f2llm.runs.settings import Difference, config_differences

MOST_CAUSES = 6


class TupleChange(NamedTuple):
    """Tuples of one source in two runs; `changed` have the same id but other negatives."""

    source: str
    before: int
    after: int
    added: int
    removed: int
    changed: int


def diff_runs(before: Path, one: str, after: Path, two: str) -> list[Difference]:
    """Return what differs between run `one` of the results folder `before` and run `two` of `after`.

    Raises:
        InputError: there is no such run, or both are the same.
    """
    if (before.resolve(), one) == (after.resolve(), two):
        raise InputError(f"diff: {one!r} is named twice; name two runs, or the results folder of the other")
    layouts = read_layout(before, run=one), read_layout(after, run=two)
    jobs = jobs_of(read_jobs(before), one), jobs_of(read_jobs(after), two)
    causes = Causes(jobs, names=(one, two))
    found = config_differences(layouts)
    found += [Difference("code", what, []) for what in _code(jobs)]
    found += [Difference("versions", what, []) for what in _versions(jobs)]
    found += _sources(layouts, causes)
    found += _tuples(layouts, causes)
    found += _plan(layouts, causes)
    found += _scores(layouts, causes)
    return found


def diff_lines(differences: Sequence[Difference]) -> list[str]:
    """Return differences as lines for a person."""
    if not differences:
        return ["nothing differs"]
    lines = []
    for one in differences:
        lines.append(f"{one.section:9s} {one.what}")
        lines += [f"          since {cause}" for cause in one.causes[:MOST_CAUSES]]
        more = len(one.causes) - MOST_CAUSES
        lines += [f"          and {more} more"] if more > 0 else []
    return lines


def tuple_changes(layouts: tuple[Layout, Layout], source: str) -> TupleChange:
    """Return how the tuples of a source differ between two runs."""
    paths = [layout.mined(source) / "tuples.parquet" for layout in layouts]
    counts = [ask("SELECT count(*) FROM read_parquet(?)", [path])[0][0] for path in paths]
    sql = "SELECT count(*) FROM read_parquet(?) a ANTI JOIN read_parquet(?) b USING (tuple_id)"
    removed, added = (ask(sql, [first], [second])[0][0] for first, second in (paths, paths[::-1]))
    negatives = (
        "SELECT tuple_id, list(doc_id ORDER BY doc_id) AS own FROM "
        "(SELECT tuple_id, unnest(negative_rows) AS place FROM read_parquet(?)) "
        "JOIN (SELECT file_row_number AS place, doc_id FROM read_parquet(?, file_row_number = true)) USING (place) "
        "GROUP BY tuple_id"
    )
    corpora = [layout.curated(source) / "corpus.parquet" for layout in layouts]
    sql = f"SELECT count(*) FROM ({negatives}) a JOIN ({negatives}) b USING (tuple_id) WHERE a.own != b.own"
    changed = ask(sql, [paths[0]], [corpora[0]], [paths[1]], [corpora[1]])[0][0]
    return TupleChange(source, *counts, added, removed, changed)


def _code(jobs: tuple[Sequence[Job], Sequence[Job]]) -> list[str]:
    before, after = ({job.rule: job.code for job in own} for own in jobs)
    both = sorted({*before} & {*after})
    return [f"{rule}: {before[rule]} -> {after[rule]}" for rule in both if before[rule] != after[rule]]


def _versions(jobs: tuple[Sequence[Job], Sequence[Job]]) -> list[str]:
    before, after = ({key: value for job in own for key, value in job.versions.items()} for own in jobs)
    names = sorted({*before, *after})
    return [
        f"{name} {before.get(name, 'none')} -> {after.get(name, 'none')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _sources(layouts: tuple[Layout, Layout], causes: Causes) -> list[Difference]:
    found, other = [], {source.name for source in layouts[1].sources}
    for name in (source.name for source in layouts[0].sources if source.name in other):
        for table in ("raw", "corpus.parquet", "queries.parquet"):
            path = f"results/sources/{name}/{table}"
            if causes.differs(path):
                found.append(Difference("sources", f"{name}: {table} differs", causes.of(path)))
    return found


def _tuples(layouts: tuple[Layout, Layout], causes: Causes) -> list[Difference]:
    found = []
    other = {source.name for source in layouts[1].sources}
    for name in (source.name for source in layouts[0].sources if source.name in other):
        change = tuple_changes(layouts, name)
        if change.added or change.removed or change.changed:
            what = f"{name}: {change.before:,} -> {change.after:,}: {change.added:,} added, {change.removed:,} removed"
            path = next((one for one in causes.artefacts() if one.endswith(f"/{name}/tuples.parquet")), "")
            found.append(Difference("tuples", f"{what}, {change.changed:,} with other negatives", causes.of(path)))
    return found


def _plan(layouts: tuple[Layout, Layout], causes: Causes) -> list[Difference]:
    paths = [layout.of_run("plan.parquet") for layout in layouts]
    counts = [ask("SELECT count(*), count(DISTINCT step) FROM read_parquet(?)", [path])[0] for path in paths]
    distinct = "(SELECT DISTINCT tuple_id FROM read_parquet(?))"
    sql = f"SELECT count(*) FROM {distinct} a SEMI JOIN read_parquet(?) b USING (tuple_id)"
    common = ask(sql, [paths[0]], [paths[1]])[0][0]
    sql = "SELECT count(*) FROM read_parquet(?) a JOIN read_parquet(?) b USING (step, slot, tuple_id)"
    same = ask(sql, [paths[0]], [paths[1]])[0][0]
    found = []
    if (same, same) != tuple(rows for rows, _ in counts):
        shape = " -> ".join(f"{rows:,} places in {steps:,} steps" for rows, steps in counts)
        what = f"{shape}; {common:,} tuples in both, {same:,} at the same place"
        found.append(Difference("plan", what, causes.of("results/runs/{run}/plan.parquet")))
    if causes.differs("results/runs/{run}/model"):
        found.append(Difference("model", "the weights differ", causes.of("results/runs/{run}/model")))
    return found


def _scores(layouts: tuple[Layout, Layout], causes: Causes) -> list[Difference]:
    points = [_points(layout) for layout in layouts]
    found = []
    for task in sorted({*points[0], *points[1]}):
        before, after = (of.get(task) for of in points)
        if before != after:
            path = f"results/scores/{{run}}/{task}.json"
            told = causes.of(path) if before is not None and after is not None else []
            what = f"{task}: {_shown(before)} -> {_shown(after)}"
            gain = f" ({after - before:+.2f})" if before is not None and after is not None else ""
            found.append(Difference("scores", what + gain, told))
    return found


def _points(layout: Layout) -> dict[str, float | None]:
    files = score_files(layout.results / "scores" / layout.run)
    return {path.stem: points_of(read_result(path, mend=MEND)) for path in files}


def _shown(points: Any) -> str:  # noqa: ANN401 - a number or none
    return "none" if points is None else f"{points:.2f}"
