"""Several runs on one page: how their settings differ, what they cost, what of their scores is more than chance."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from f2llm.records.files import atomic_folder
from f2llm.records.schemas.train import METRICS
from f2llm.records.scores import BOUNDED, MEANS, Compared
from f2llm.records.tables import read_table
from f2llm.records.terms import read_terms
from f2llm.report import figures
from f2llm.report.page import write_page
from f2llm.report.sections.training import read_training
from f2llm.report.tables import COUNT, GAIN, LONG, LOSS, POINTS, SECONDS, TEXT, ReportTable, columns, write_tables
from f2llm.runs.funnel import read_planned
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.settings import config_differences, read_settings, unequal_settings
from f2llm.runs.withheld import withheld

MOST_POINTS = 120  # of the loss of a run
MOST_CHANGES = 8  # of a run that are listed; the table of settings has all
RUNS = (
    *columns(TEXT, "run"),
    *columns(POINTS, mean="mean score"),
    *columns(GAIN, difference="to the first"),
    *columns(COUNT, "sources", tuples="tuples trained on", planned="rows of the plan", steps="steps", tokens="tokens"),
    *columns(SECONDS, seconds="seconds in steps"),
    *columns(LOSS, loss="last loss", held_out="held-out loss"),
)
SCORES = (
    *columns(TEXT, "task", model="run"),
    *columns(POINTS, "score"),
    *columns(GAIN, points="to the first", low="from", high="to"),
    *columns(TEXT, verdict=""),
)


class ComparedRun(NamedTuple):
    """What the files of a run say of its settings and its training; empty for a model that was only scored."""

    layout: Layout | None = None
    settings: Mapping[str, Any] = {}
    planned: Mapping[str, tuple[int, int]] = {}
    metrics: Mapping[str, Any] = {}
    last: Mapping[str, tuple[float, float | None]] = {}  # source -> (loss, held-out loss)


def build_comparison(
    names: Sequence[str], *, results: str | Path, scores: Sequence[Compared], output: str | Path
) -> str:
    """Write a page that compares runs, the first being the yardstick, and its tables in the folder of the same name.

    `names` are runs, or models that were only scored: of these the page has the scores alone. Returns the page's path.
    """
    path = Path(output)
    tables = _write(names, results=Path(results), scores=scores, path=path, kept=f"{path.stem}/*.parquet")
    with atomic_folder(path.with_suffix("")) as folder:
        write_tables(folder, tables)
    return str(path)


def build_ablation(results: str | Path, *, run: str, table: str | Path, output: str | Path) -> int:
    """Write the page of a run and its changed runs out of their table of effects; return the number of changed runs.

    `table` is `ablations/{run}/scores.parquet`; it lies beside the page in place of the page's own tables.
    """
    effects = read_table(table).to_pylist()
    names = list(dict.fromkeys(row["run"] for row in effects))
    before = {row["task"]: row["before"] for row in reversed(effects)}
    scores = [Compared(task, run, points, *(None,) * 4) for task, points in before.items()]
    scores += [
        Compared(row["task"], row["run"], *(row[name] for name in ("after", "points", "low", "high", "real")))
        for row in effects
    ]
    origins = {row["task"]: row["source"] for row in effects}
    place = {"results": Path(results), "path": Path(output), "kept": Path(table).name}
    _write([run, *names], scores=scores, origins=origins, **place)
    return len(names)


def _write(
    names: Sequence[str],
    *,
    results: Path,
    scores: Sequence[Compared],
    path: Path,
    kept: str,
    origins: Mapping[str, str] | None = None,
) -> dict[str, ReportTable]:
    """Write the page and return its tables; `kept` names where they lie, `origins` the source that a task is from."""
    gaps = Gaps(results)
    runs: dict[str, ComparedRun] = {}
    for name in names:
        runs[name] = ComparedRun()
        with gaps.noting(name):
            if (results / "runs" / name).is_dir():
                runs[name] = _read(read_layout(results, run=name))
    tables = {
        "runs": ReportTable(RUNS, _summaries(runs, scores)),
        "settings": _settings(runs),
        "sources": _sources(runs),
        "scores": ReportTable(SCORES, [(*row[:6], _verdict(row.real)) for row in scores]),
    }
    # The mean of the tasks that have an interval, of each changed run.
    bounded = [row for row in scores if row.task == BOUNDED and row.low is not None]
    means = {row.model.removeprefix(f"{names[0]}-"): _interval(row) for row in bounded}
    content = {
        "names": names,
        "changes": _changes(runs),
        "tables": tables,
        "scores": _grid(names, scores, origins or {}),
        "figures": {
            "means": figures.differences(list(means), {BOUNDED: means}, label="points") if means else "",
            "differences": _intervals(names, scores),
            "loss": _losses(runs),
        },
        "means": MEANS,
        "most_changes": MOST_CHANGES,
        "gaps": gaps.notes.get("", []),
        "kept": kept,
    }
    write_page("comparison", path, content)
    return tables


def _read(layout: Layout) -> ComparedRun:
    metrics, validation = (layout.of_run(f"{name}.parquet") for name in ("metrics", "validation"))
    rows, _ = read_training(metrics, validation, losses=[])
    return ComparedRun(
        layout,
        read_settings(layout),
        read_planned(layout.of_run("plan.parquet")),
        read_terms(metrics, ["loss", "tokens", "seconds"], schema=METRICS),
        {row.source: (row.last, row.held_out_after) for row in rows},
    )


def _summaries(runs: Mapping[str, ComparedRun], scores: Sequence[Compared]) -> list[tuple]:
    means = {name: _mean(row.score for row in scores if row.model == name and row.task not in MEANS) for name in runs}
    yardstick = next(iter(runs))
    rows = []
    for name, run in runs.items():
        compared = name != yardstick and None not in (means[yardstick], means[name])
        scored = (name, means[name], means[name] - means[yardstick] if compared else None)
        steps = run.metrics.get("step", np.zeros(0))
        if not len(steps):
            rows.append((*scored, *(None,) * (len(RUNS) - len(scored))))
            continue
        _, whole = np.unique(steps, return_index=True)  # seconds are those of a step, on each of its batches
        counts = [sum(column) for column in zip(*run.planned.values(), strict=True)]
        last = [loss for loss, _ in run.last.values()]
        held_out = [loss for _, loss in run.last.values() if loss is not None]
        losses = float(np.mean(last)), float(np.mean(held_out)) if held_out else None
        spent = int(run.metrics["tokens"].sum()), float(run.metrics["seconds"][whole].sum())
        rows.append((*scored, len(run.planned), *counts, int(steps.max()) + 1, *spent, *losses))
    return rows


def _mean(scores: Iterable[float | None]) -> float | None:
    known = list(scores)
    return statistics.fmean(known) if known and None not in known else None


def _changes(runs: Mapping[str, ComparedRun]) -> dict[str, list[str]]:
    """How each run differs from the first in settings and sources; nothing where either is no run."""
    first, *others = [(name, run.layout) for name, run in runs.items()]
    return {
        name: [withheld(f"{change.section}: {change.what}") for change in config_differences((first[1], layout))]
        for name, layout in others
        if first[1] and layout
    }


def _settings(runs: Mapping[str, ComparedRun]) -> ReportTable:
    """The settings that are not the same in all runs, with their values."""
    known = {name: run.settings for name, run in runs.items() if run.settings}
    shown = [*columns(TEXT, "setting"), *columns(LONG, *known)]
    keys = unequal_settings(list(known.values())) if known else []
    rows = [(key, *(withheld(str(values.get(key, ""))) for values in known.values())) for key in keys]
    return ReportTable(shown, rows)


def _sources(runs: Mapping[str, ComparedRun]) -> ReportTable:
    """The tuples of each source that were trained on and its held-out loss, run by run."""
    names = sorted({source for run in runs.values() for source in run.planned})
    trained = {name: run for name, run in runs.items() if run.planned}
    tuples = {f"tuples_{name}": f"tuples, {name}" for name in trained}
    losses = {f"loss_{name}": f"held-out loss, {name}" for name in trained}
    rows = [
        (
            source,
            *(run.planned.get(source, (0, 0))[0] for run in trained.values()),
            *(run.last.get(source, (None, None))[1] for run in trained.values()),
        )
        for source in names
    ]
    return ReportTable([*columns(TEXT, "source"), *columns(COUNT, **tuples), *columns(LOSS, **losses)], rows)


def _grid(names: Sequence[str], scores: Sequence[Compared], origins: Mapping[str, str]) -> ReportTable:
    """The scores with three columns for each run after the first, for the page alone; means of tasks come last."""
    shown = [*columns(TEXT, "task", source="drawn from"), *columns(POINTS, names[0])]
    for name in names[1:]:
        shown += columns(POINTS, name) + columns(GAIN, **{f"to_{name}": "difference"})
        shown += columns(TEXT, **{f"is_{name}": ""})
    cells = {(row.task, row.model): row for row in scores}
    tasks = sorted(dict.fromkeys(row.task for row in scores), key=lambda task: task in MEANS)
    rows = []
    for task in tasks:
        row: list[Any] = [task, origins.get(task, ""), cells[task, names[0]].score]
        for cell in (cells[task, name] for name in names[1:]):
            row += [cell.score, cell.points, _bounds(cell)]
        rows.append(row)
    return ReportTable(shown, rows)


def _bounds(cell: Compared) -> str:
    return "" if cell.low is None else f"{_verdict(cell.real)} ({cell.low:+.1f} .. {cell.high:+.1f})"


def _verdict(real: bool | None) -> str:
    return "" if real is None else "more than chance" if real else "may be chance"


def _intervals(names: Sequence[str], scores: Sequence[Compared]) -> str:
    """The differences to the first of `names` that have an interval as a figure."""
    bounded = [row for row in scores if row.low is not None and row.task not in MEANS]
    groups = {name: {row.task: _interval(row) for row in bounded if row.model == name} for name in names[1:]}
    tasks = list(dict.fromkeys(row.task for row in bounded))
    return figures.differences(tasks, groups, label=f"points over {names[0]}")


def _interval(row: Compared) -> tuple[float, float, float, bool]:
    return row.points, row.low, row.high, row.real


def _losses(runs: Mapping[str, ComparedRun]) -> str:
    lines = {}
    for name, run in runs.items():
        if run.metrics:
            parts = min(MOST_POINTS, len(run.metrics["step"]))
            steps, losses = (np.array_split(run.metrics[term], parts) for term in ("step", "loss"))
            lines[name] = {"loss": figures.Line([block[-1] for block in steps], [block.mean() for block in losses])}
    return figures.curves(lines, zero=True) if lines else ""
