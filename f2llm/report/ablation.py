"""The second page: several runs beside the first of them, what differs in them, and what that did to the scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.records.scores import BOUNDED, MEANS
from f2llm.records.sql import ask
from f2llm.records.tables import read_table
from f2llm.report import figures
from f2llm.report.page import write_page
from f2llm.runs.layout import Layout, read_layout
from f2llm.runs.settings import config_differences


class ComparedRun(NamedTuple):
    """A run beside the first one."""

    name: str
    differences: list[str]
    sources: int
    steps: int
    places: int
    effects: Mapping[str, Mapping[str, Any]]  # task -> row of the table of effects


def write_comparison(results: str | Path, run: str, table: str | Path, output: str | Path) -> int:
    """Write the page of the runs in a table of effects (`ablations/{run}/scores.parquet`) and return their number.

    Raises:
        InputError: a run is not there any more.
    """
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in read_table(table).to_pylist():
        rows.setdefault(row["run"], {})[row["task"]] = row
    first = read_layout(results, run=run)
    runs = [_compared(first, read_layout(results, run=name), effects) for name, effects in rows.items()]
    tasks = list(next(iter(rows.values())))
    content = {
        "run": run,
        "runs": runs,
        "tasks": [*(task for task in tasks if task not in MEANS), *(mean for mean in MEANS if mean in tasks)],
        "means": MEANS,
        "own": _compared(first, first, {}),
        "figure": figures.intervals(_means(runs, run), label=f"points, {BOUNDED}"),
        "table": Path(table).name,
    }
    write_page("comparison", Path(output), content)
    return len(runs)


def _compared(first: Layout, layout: Layout, effects: Mapping[str, Mapping[str, Any]]) -> ComparedRun:
    plan = [layout.of_run("plan.parquet")]
    steps, places = ask("SELECT count(DISTINCT step), count(*) FROM read_parquet(?)", plan)[0]
    told = [f"{one.section}: {one.what}" for one in config_differences((first, layout))]
    return ComparedRun(layout.run, told, len(layout.sources), steps, places, effects)


def _means(runs: Sequence[ComparedRun], run: str) -> dict[str, tuple[float, float, float]]:
    """Return name -> (points, low, high) of each run's mean of the tasks that have intervals."""
    return {
        one.name.removeprefix(f"{run}-"): (mean["points"], mean["low"], mean["high"])
        for one in runs
        if (mean := one.effects.get(BOUNDED)) and mean["low"] is not None
    }
