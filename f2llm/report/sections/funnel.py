"""Section: rows from the files to training, source by source."""

from collections import Counter
from collections.abc import Sequence

from f2llm.records.files import read_json
from f2llm.records.schemas.sources import SKIPPED
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section, in_words
from f2llm.report.tables import COUNT, TEXT, ReportTable, columns
from f2llm.runs.funnel import Funnel
from f2llm.runs.skipped import one_line

RELEASED = (
    *columns(TEXT, "source"),
    *columns(COUNT, common="both", ours_only="ours only", theirs_only="theirs only", same_positive="same positive"),
    *columns(COUNT, negatives_common="negatives: both", negatives_ours="ours", negatives_theirs="theirs"),
)
FUNNEL = (
    *columns(TEXT, "source", "task"),
    *columns(COUNT, "raw", "normalised", held_out="held out", training="for training", exact="after exact"),
    *columns(COUNT, near="after near", clean="after contaminated", curated="curated", mined="mined", tuples="tuples"),
    *columns(COUNT, "trained", planned="rows of the plan", published="published", passages="passages"),
    *columns(COUNT, passages_curated="searched"),
)
SHOWN_STAGES = ("raw", "normalised", "exact", "near", "clean", "mined", "trained")
MOSTLY_DROPPED = 0.5  # share of a source's tuples lost in mining that the report warns about


def funnel_table(rows: Sequence[Funnel]) -> ReportTable:
    """The funnel as a table; the column of published counts is there where a source has one."""
    shown = [
        column for column in FUNNEL if column.name != "published" or any(row.published is not None for row in rows)
    ]
    return ReportTable(shown, [[getattr(row, column.name) for column in shown] for row in rows])


def funnel_section(run: ReportedRun) -> Section:
    """How many queries of each source every stage let through."""
    rows = run.funnel
    released, warnings = [], _lost(rows)
    for source in run.layout.sources:
        path = run.layout.mined(source.name) / "released.json"
        with run.gaps.noting(f"{source.name}, published tuples"):
            if path.is_file():
                counts = read_json(path)
                released.append((source.name, *(counts[column.name] for column in RELEASED[1:])))
                if reason := counts.get(SKIPPED):
                    warnings.append(f"{source.name}: nothing to compare with published tuples: {one_line(reason)}")
    headings = {column.name: column.heading for column in FUNNEL}
    bars = {headings[stage]: [getattr(row, stage) for row in rows] for stage in SHOWN_STAGES}
    tables = {"funnel": funnel_table(rows)} | ({"released": ReportTable(RELEASED, released)} if released else {})
    return Section(
        tables,
        {"funnel": figures.funnel_bars(bars, sources=[row.source for row in rows])},
        also=("results/runs/*/plan.parquet", "results/mined/*/*/tuples.parquet"),
        warnings=warnings,
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
