"""Section: rows from the files to training, source by source."""

from collections import Counter
from collections.abc import Sequence

from f2llm.records.files import read_json
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section, in_words
from f2llm.report.tables import COUNT, TEXT, Column, ReportTable
from f2llm.runs.funnel import Funnel

RELEASED = (
    Column("source", "source", TEXT),
    Column("common", "both", COUNT),
    Column("ours_only", "ours only", COUNT),
    Column("theirs_only", "theirs only", COUNT),
    Column("same_positive", "same positive", COUNT),
    Column("negatives_common", "negatives: both", COUNT),
    Column("negatives_ours", "ours", COUNT),
    Column("negatives_theirs", "theirs", COUNT),
)
FUNNEL = (
    Column("source", "source", TEXT),
    Column("task", "task", TEXT),
    Column("raw", "raw", COUNT),
    Column("normalised", "normalised", COUNT),
    Column("held_out", "held out", COUNT),
    Column("training", "for training", COUNT),
    Column("exact", "after exact", COUNT),
    Column("near", "after near", COUNT),
    Column("clean", "after contaminated", COUNT),
    Column("curated", "curated", COUNT),
    Column("mined", "mined", COUNT),
    Column("tuples", "tuples", COUNT),
    Column("trained", "trained", COUNT),
    Column("planned", "rows of the plan", COUNT),
    Column("published", "published", COUNT),
    Column("passages", "passages", COUNT),
    Column("passages_curated", "searched", COUNT),
)
SHOWN_STAGES = ("raw", "normalised", "exact", "near", "clean", "mined", "trained")
MOSTLY_DROPPED = 0.5  # share of a source's tuples lost in mining that the report warns about


def funnel_table(rows: Sequence[Funnel]) -> ReportTable:
    """The funnel as a table; the column of published counts is there where a source has one."""
    columns = [
        column for column in FUNNEL if column.name != "published" or any(row.published is not None for row in rows)
    ]
    return ReportTable(columns, [[getattr(row, column.name) for column in columns] for row in rows])


def funnel_section(run: ReportedRun) -> Section:
    """How many queries of each source every stage let through."""
    rows = run.funnel
    released = []
    for source in run.layout.sources:
        path = run.layout.mined(source.name) / "released.json"
        with run.gaps.noting(f"{source.name}, published tuples"):
            if path.is_file():
                counts = read_json(path)
                released.append((source.name, *(counts[column.name] for column in RELEASED[1:])))
    headings = {column.name: column.heading for column in FUNNEL}
    bars = {headings[stage]: [getattr(row, stage) for row in rows] for stage in SHOWN_STAGES}
    tables = {"funnel": funnel_table(rows)} | ({"released": ReportTable(RELEASED, released)} if released else {})
    return Section(
        tables,
        {"funnel": figures.funnel_bars(bars, sources=[row.source for row in rows])},
        also=("results/runs/*/plan.parquet", "results/mined/*/*/tuples.parquet"),
        warnings=_lost(rows),
    )


def _lost(rows: Sequence[Funnel]) -> list[str]:
    warnings = []
    for row in rows:
        lost = sum(row.rejected.values())
        if row.tuples is not None and lost > MOSTLY_DROPPED * max(1, lost + row.tuples):
            reason = Counter(in_words(row.rejected)).most_common(1)[0][0]
            warnings.append(
                f"{row.source}: mining dropped {lost:,} of {lost + row.tuples:,} tuples, mostly because: {reason}."
            )
        if row.planned == 0:
            warnings.append(f"{row.source}: no batch of the plan is from this source.")
    return warnings
