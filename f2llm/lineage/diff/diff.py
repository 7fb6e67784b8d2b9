"""What differs between two runs, stage by stage, and the likely cause of each difference."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.lineage.diff.causes import Causes
from f2llm.lineage.trace.backward import REMEDY
from f2llm.records.errors import InputError
from f2llm.records.scores import points_of, read_result, score_files
from f2llm.records.sql import ask
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.manifests import jobs_of, read_jobs
from f2llm.runs.settings import Difference, config_differences, unequal, version_changes

MOST_CAUSES = 6


class TupleChange(NamedTuple):
    """Tuples of one source in two runs; `changed` have the same id but other negatives."""

    source: str
    before: int
    after: int
    added: int
    removed: int
    changed: int


def diff_runs(before: Path, run: str, after: Path, other: str) -> list[Difference]:
    """List what differs between `run` of the results folder `before` and run `other` of `after`.

    Raises:
        InputError: there is no such run, or both are the same.
    """
    if (before.resolve(), run) == (after.resolve(), other):
        raise InputError(f"diff: {run!r} is named twice; name two runs, or the results folder of the other")
    layouts = read_layout(before, run=run), read_layout(after, run=other)
    jobs = jobs_of(read_jobs(before), run), jobs_of(read_jobs(after), other)
    causes = Causes(jobs, names=(run, other))
    before_code, after_code = ({job.rule: job.code for job in side} for side in jobs)
    versions = [{key: value for job in side for key, value in job.versions.items()} for side in jobs]
    return [
        *config_differences(layouts),
        *(
            Difference("code", f"{rule}: {before_code[rule]} -> {after_code[rule]}", [])
            for rule in unequal(before_code, after_code)
            if rule in before_code and rule in after_code
        ),
        *(Difference("versions", what, []) for what in version_changes(*versions)),
        *_sources(layouts, causes),
        *_tuples(layouts, causes),
        *_plan(layouts, causes),
        *_scores(layouts, causes),
    ]


def diff_lines(differences: Sequence[Difference]) -> list[str]:
    """Differences as lines for a person."""
    if not differences:
        return ["nothing differs"]
    lines = []
    for difference in differences:
        lines.append(f"{difference.section:9s} {difference.what}")
        lines += [f"          since {cause}" for cause in difference.causes[:MOST_CAUSES]]
        more = len(difference.causes) - MOST_CAUSES
        lines += [f"          and {more} more"] if more > 0 else []
    return lines


def tuple_changes(layouts: tuple[Layout, Layout], source: str) -> TupleChange:
    """Count how the tuples of a source differ between two runs."""
    paths = [layout.mined(source) / "tuples.parquet" for layout in layouts]
    counts = [ask("SELECT count(*) FROM read_parquet(?)", [path])[0][0] for path in paths]
    sql = "SELECT count(*) FROM read_parquet(?) a ANTI JOIN read_parquet(?) b USING (tuple_id)"
    removed, added = (ask(sql, [first], [second])[0][0] for first, second in (paths, paths[::-1]))
    # Rows of two corpora do not compare: negatives are compared by their ids.
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


def _common_sources(layouts: tuple[Layout, Layout]) -> list[str]:
    after = {source.name for source in layouts[1].sources}
    return [source.name for source in layouts[0].sources if source.name in after]


def _sources(layouts: tuple[Layout, Layout], causes: Causes) -> Iterator[Difference]:
    for name in _common_sources(layouts):
        for table in ("raw", "corpus.parquet", "queries.parquet"):
            path = f"results/sources/{name}/{table}"
            if causes.differs(path):
                yield Difference("sources", f"{name}: {table} differs", causes.of(path))


def _tuples(layouts: tuple[Layout, Layout], causes: Causes) -> Iterator[Difference]:
    for name in _common_sources(layouts):
        change = tuple_changes(layouts, name)
        if change.added or change.removed or change.changed:
            what = f"{name}: {change.before:,} -> {change.after:,}: {change.added:,} added, {change.removed:,} removed"
            path = next((path for path in causes.artefacts() if path.endswith(f"/{name}/tuples.parquet")), "")
            yield Difference("tuples", f"{what}, {change.changed:,} with other negatives", causes.of(path))


def _plan(layouts: tuple[Layout, Layout], causes: Causes) -> Iterator[Difference]:
    paths = [layout.plan for layout in layouts]
    counts = [ask("SELECT count(*), count(DISTINCT step) FROM read_parquet(?)", [path])[0] for path in paths]
    distinct = "(SELECT DISTINCT tuple_id FROM read_parquet(?))"
    sql = f"SELECT count(*) FROM {distinct} a SEMI JOIN read_parquet(?) b USING (tuple_id)"
    common = ask(sql, [paths[0]], [paths[1]])[0][0]
    sql = "SELECT count(*) FROM read_parquet(?) a JOIN read_parquet(?) b USING (step, slot, tuple_id)"
    same = ask(sql, [paths[0]], [paths[1]])[0][0]
    if (same, same) != tuple(rows for rows, _ in counts):
        shape = " -> ".join(f"{rows:,} places in {steps:,} steps" for rows, steps in counts)
        what = f"{shape}; {common:,} tuples in both, {same:,} at the same place"
        yield Difference("plan", what, causes.of("results/runs/{run}/plan.parquet"))
    if causes.differs("results/runs/{run}/model"):
        yield Difference("model", "the weights differ", causes.of("results/runs/{run}/model"))


def _scores(layouts: tuple[Layout, Layout], causes: Causes) -> Iterator[Difference]:
    points = [_points(layout) for layout in layouts]
    for task in unequal(*points):
        before, after = (scores.get(task) for scores in points)
        what = f"{task}: {_shown(before)} -> {_shown(after)}"
        if before is None or after is None:
            yield Difference("scores", what, [])
        else:
            path = f"results/scores/{{run}}/{task}.json"
            yield Difference("scores", f"{what} ({after - before:+.2f})", causes.of(path))


def _points(layout: Layout) -> dict[str, float | None]:
    files = score_files(layout.results / "scores" / layout.run)
    return {path.stem: points_of(read_result(path, remedy=REMEDY)) for path in files}


def _shown(points: float | None) -> str:
    return "none" if points is None else f"{points:.2f}"
