"""The report of a run: one HTML file that needs no network and no knowledge of the code, and its tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.licences import EXCLUDED
from f2llm.config.sources import Source
from f2llm.records.files import MANIFEST, atomic_folder, read_json
from f2llm.records.schemas.sources import SkippedSources
from f2llm.report.page import write_page
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.sections.cost import COSTS, cost_section
from f2llm.report.sections.environment import environment_section
from f2llm.report.sections.estimate import estimate_section
from f2llm.report.sections.funnel import funnel_section
from f2llm.report.sections.licences import licences_section
from f2llm.report.sections.map import map_section
from f2llm.report.sections.mining import mining_section
from f2llm.report.sections.removed import removed_section
from f2llm.report.sections.scores import means_of, scores_section
from f2llm.report.sections.training import training_section
from f2llm.report.sections.tuples import tuples_section
from f2llm.report.tables import LONG, SCORE, TEXT, ReportTable, columns, write_csv, write_tables
from f2llm.runs.funnel import read_funnel
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.manifests import jobs_of, read_content, read_jobs
from f2llm.runs.skipped import read_skipped
from f2llm.runs.withheld import withheld

# In the order of the page.
SECTIONS: Mapping[str, Callable[[ReportedRun], Section]] = {
    "funnel": funnel_section,
    "removed": removed_section,
    "mining": mining_section,
    "tuples": tuples_section,
    "training": training_section,
    "scores": scores_section,
    "map": map_section,
    "licences": licences_section,
    "cost": cost_section,
    "estimate": estimate_section,
    "environment": environment_section,
}
OVERVIEW = (
    *columns(TEXT, name="what"),
    *columns(SCORE, "value"),
    *columns(TEXT, "unit"),
    *columns(LONG, "note"),
)
NO_SCORES = columns(TEXT, "task")
WARNINGS = (*columns(TEXT, "section"), *columns(LONG, "warning"))


def build_report(
    results: str | Path, *, run: str, heldout: Sequence[Source], jobs: Sequence[str], output: str | Path
) -> dict[str, Any]:
    """Write the report of a run to `output`, and beside it scores.csv and the folders tables and figures.

    `heldout` are the sources only scored on, `jobs` the manifests of all jobs. Of a run half done the report
    says what is missing; the same when a table cannot be read.

    Raises:
        InputError: there is no such run.
    """
    layout = read_layout(results, run=run)
    gaps = Gaps(layout.results)
    reported = _read_run(layout, heldout=heldout, jobs=jobs, gaps=gaps)
    parts = dict.fromkeys(SECTIONS, Section())
    for name, build in SECTIONS.items():
        with gaps.section(name):
            parts[name] = build(reported)
    warnings = _warnings(reported, parts)
    overview = _overview(reported, parts, warnings=len(warnings))
    parts = {
        "overview": Section({"overview": ReportTable(OVERVIEW, overview), "warnings": ReportTable(WARNINGS, warnings)})
    } | parts
    folder = Path(output).parent
    with atomic_folder(folder / "tables") as aside:
        for part in parts.values():
            write_tables(aside, part.tables)
    with atomic_folder(folder / "figures") as aside:
        for part in parts.values():
            for name, figure in part.figures.items():
                (aside / f"{name}.svg").write_text(figure, encoding="utf-8")
    write_csv(folder / "scores.csv", parts["scores"].tables.get("scores", ReportTable(NO_SCORES, ())))
    values = {name: value for name, value, *_ in overview}
    written = write_page("report", Path(output), {"run": layout, "parts": parts, "gaps": gaps.notes, "values": values})
    return {"bytes": written, "sources": len(layout.sources), "gaps": sum(map(len, gaps.notes.values()))}


def report_of(results: str | Path, *, run: str, output: str | Path) -> dict[str, Any]:
    """Write the report of a run from what lies below `results` alone, whether or not the run is done.

    Raises:
        InputError: there is no such run.
    """
    layout = read_layout(results, run=run)
    jobs = [str(job.path) for job in jobs_of(read_jobs(results), layout.run) if job.rule != "build_report"]
    return build_report(results, run=run, heldout=[], jobs=jobs, output=output)


def _read_run(layout: Layout, *, heldout: Sequence[Source], jobs: Sequence[str], gaps: Gaps) -> ReportedRun:
    manifests: list[Mapping[str, Any]] = []
    with gaps.section("cost"):
        for path in sorted(jobs):
            with gaps.noting("a job's manifest"):
                job = read_content(path)
                if {"rule", "counts", "seconds", "peak_memory_mb", "platform", "versions"} <= job.keys():
                    manifests.append(job)
    summary = None
    with gaps.section("scores"), gaps.noting("scoreboard"):
        summary = read_json(layout.results / "scores" / "scoreboard.json")
        if summary["run"] != layout.run:
            gaps.add(
                f"scoreboard: it is that of run {summary['run']}; `f2llm compare {summary['run']} {layout.run}` shows "
                f"both, `snakemake --cores all report` with the config of {layout.run} makes its own"
            )
            summary = None
    skipped = SkippedSources()
    with gaps.section("funnel"):
        funnel = read_funnel(layout, jobs=manifests, gaps=gaps)
        skipped = read_skipped(layout, heldout, gaps=gaps)
    return ReportedRun(layout, heldout, manifests, summary, funnel, skipped, gaps)


def _overview(run: ReportedRun, parts: Mapping[str, Section], *, warnings: int) -> list[tuple]:
    """The figures of the first screen: (name, value, unit, note)."""
    layout = run.layout
    lost = [source.source for source in run.skipped.sources]
    used = [source.name for source in layout.sources if source.name not in lost]
    scores = {
        role: means_of(run.summary, role) if run.summary else {}
        for role in ("run", "base_last", "base_mean", "ceiling")
    }
    rows = [
        ("sources", len(used), "", ", ".join(used)),
        ("sources skipped", len(run.skipped.sources), "", ", ".join(lost)),
        ("queries skipped", run.skipped.missing, "share", "of the queries that the stanzas of the sources state"),
        ("examples", _total(row.planned for row in run.funnel), "rows of the plan", "repeats counted"),
        ("tuples", _total(row.trained for row in run.funnel), "tuples", "distinct, trained on"),
        ("tasks", len(run.summary["tasks"]) if run.summary else None, "", "scored"),
        ("backbone", None, "", layout.backbone.name),
        ("retriever", None, "", layout.retriever.name),
        ("open warnings", warnings, "", ""),
    ]
    rows += [
        (f"{role} {mean}", scores[role].get(mean), "points", f"mean of the scoreboard: {mean}")
        for role in scores
        for mean in ("task", "in_domain", "untrained")
    ]
    for role in ("base_last", "base_mean"):
        pair = scores["run"].get("task"), scores[role].get("task")
        rows.append((f"gain over {role}", None if None in pair else pair[0] - pair[1], "points", "mean of tasks"))
    costs = parts["cost"].tables.get("costs", ReportTable(COSTS, ()))
    rows.append(("seconds", sum(costs.column("seconds")), "seconds", "of all jobs, added up"))
    rows.append(("peak memory", max(costs.column("peak_memory_mb"), default=None), "MB", "of one job"))
    return rows


def _warnings(run: ReportedRun, parts: Mapping[str, Section]) -> list[tuple[str, str]]:
    """Pairs (section, warning): sources that were skipped, what each section warns of, and what is missing."""
    warnings = [("funnel", text) for text in (*_skipped(run), *_barred(run), *_remarks(run))]
    warnings += [(name, text) for name, part in parts.items() for text in part.warnings]
    return warnings + [
        (name, f"Incomplete: {len(notes)} of its tables are missing or cannot be read.")
        for name, notes in run.gaps.notes.items()
    ]


def _skipped(run: ReportedRun) -> list[str]:
    """How many sources the run went on without, and why each of them."""
    lines = [f"{line}." for line in [run.skipped.summary()] if line]
    return lines + [
        f"{source}: skipped, and the run went on without it: {reason}" for source, reason, _ in run.skipped.sources
    ]


def _barred(run: ReportedRun) -> list[str]:
    """What the run may not be trained on, and why."""
    return [
        f"{barred.name}: {barred.reason}."
        if barred.reason.startswith(EXCLUDED)
        else f"{barred.name}: left out by the licence policy of the run ({barred.reason})."
        for barred in run.layout.barred
    ]


def _remarks(run: ReportedRun) -> list[str]:
    """What the manifests of the sources have to say of their files."""
    remarks = []
    with run.gaps.section("funnel"):
        for source in (*run.layout.sources, *run.heldout):
            with run.gaps.noting(f"{source.name}, files"):
                manifest = read_json(run.layout.source(source.name) / MANIFEST)
                remarks += [f"{source.name}: {withheld(str(remark))}." for remark in manifest.get("remarks", ())]
    return remarks


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
