"""Several runs on one page: what they were made with, what they cost, what of their scores is more than chance."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from f2llm.records.files import atomic_folder, read_json
from f2llm.records.scores import Compared
from f2llm.records.tables import read_table
from f2llm.report import figures
from f2llm.report.page import write_page
from f2llm.report.sections.training import read_training
from f2llm.report.tables import COUNT, GAIN, LONG, LOSS, POINTS, SECONDS, TEXT, Column, ReportTable, write_tables
from f2llm.runs.funnel import read_planned
from f2llm.runs.gaps import Gaps
from f2llm.runs.withheld import withheld

# Of run.json: names that differ between any two runs, and lists that are told source by source.
NOT_TOLD = ("run", "sources", "barred")
MOST_POINTS = 120  # of the loss of a run
RUNS = (
    Column("run", "run", TEXT),
    Column("mean", "mean score", POINTS),
    Column("difference", "to the first", GAIN),
    Column("sources", "sources", COUNT),
    Column("tuples", "tuples trained on", COUNT),
    Column("planned", "rows of the plan", COUNT),
    Column("steps", "steps", COUNT),
    Column("tokens", "tokens", COUNT),
    Column("seconds", "seconds in steps", SECONDS),
    Column("loss", "last loss", LOSS),
    Column("held_out", "held-out loss", LOSS),
)
SCORES = (
    Column("task", "task", TEXT),
    Column("model", "run", TEXT),
    Column("score", "score", POINTS),
    Column("points", "to the first", GAIN),
    Column("low", "from", GAIN),
    Column("high", "to", GAIN),
    Column("verdict", "", TEXT),
)


class _Trained(NamedTuple):
    """What the tables of a run say of its training; empty where it has none."""

    planned: Mapping[str, tuple[int, int]] = {}
    metrics: Mapping[str, Any] = {}
    last: Mapping[str, tuple[float, float | None]] = {}  # source -> (loss, held-out loss)
    settings: Mapping[str, str] = {}


def build_comparison(
    names: Sequence[str], *, results: str | Path, scores: Sequence[Compared], output: str | Path
) -> str:
    """Write a page that compares runs, the first being the yardstick, and its tables in the folder of the same name.

    `names` are runs, or models that were only scored: of these the page has the scores alone. Returns the page's path.
    """
    gaps = Gaps(Path(results))
    runs = {}
    for name in names:
        runs[name] = _Trained()  # of a model that was only scored
        folder = Path(results, "runs", name)
        with gaps.noting(name):
            runs[name] = _read(folder) if folder.is_dir() else _Trained()
    tables = {
        "runs": ReportTable(RUNS, _summaries(runs, scores)),
        "settings": _settings(runs),
        "sources": _sources(runs),
        "scores": ReportTable(SCORES, [(*row[:6], _verdict(row.real)) for row in scores]),
    }
    plots = {"differences": _intervals(names, scores), "loss": _losses(runs)}
    path = Path(output)
    with atomic_folder(path.with_suffix("")) as folder:
        write_tables(folder, tables)
    content = {"names": names, "tables": tables, "figures": plots, "gaps": gaps.notes.get("", [])}
    write_page("compare", path, content | {"scores": _grid(names, scores)})
    return str(path)


def _read(folder: Path) -> _Trained:
    settings = read_json(folder / "run.json")["settings"]
    rows, _ = read_training(folder / "metrics.parquet", folder / "validation.parquet")
    metrics = read_table(folder / "metrics.parquet", columns=["step", "loss", "tokens", "seconds"])
    return _Trained(
        read_planned(folder / "plan.parquet"),
        {name: metrics[name].to_numpy() for name in metrics.column_names},
        {row.source: (row.last, row.held_out_after) for row in rows},
        dict(_flat({key: value for key, value in settings.items() if key not in NOT_TOLD})),
    )


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting with its dotted name, as text; paths and secrets withheld."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", withheld(str(value))


def _summaries(runs: Mapping[str, _Trained], scores: Sequence[Compared]) -> list[tuple]:
    own = {name: [row.score for row in scores if row.model == name] for name in runs}
    means = {name: sum(found) / len(found) if found and None not in found else None for name, found in own.items()}
    first = means[next(iter(runs))]
    rows = []
    for at, (name, run) in enumerate(runs.items()):
        steps = run.metrics.get("step", np.zeros(0))
        difference = None if not at or None in (first, means[name]) else means[name] - first
        held_out = [after for _, after in run.last.values() if after is not None]
        last = [loss for loss, _ in run.last.values()]
        if not len(steps):
            rows.append((name, means[name], difference, *(None,) * 8))
            continue
        _, whole = np.unique(steps, return_index=True)  # seconds are those of a step, on each of its batches
        counts = [sum(column) for column in zip(*run.planned.values(), strict=True)]
        losses = float(np.mean(last)), float(np.mean(held_out)) if held_out else None
        spent = int(run.metrics["tokens"].sum()), float(run.metrics["seconds"][whole].sum())
        rows.append((name, means[name], difference, len(run.planned), *counts, int(steps.max()) + 1, *spent, *losses))
    return rows


def _settings(runs: Mapping[str, _Trained]) -> ReportTable:
    """Return the settings that are not the same in all runs."""
    known = {name: run.settings for name, run in runs.items() if run.settings}
    keys = dict.fromkeys(itertools.chain.from_iterable(known.values()))
    rows = [(key, *(own.get(key, "") for own in known.values())) for key in keys]
    columns = [Column("setting", "setting", TEXT), *(Column(name, name, LONG) for name in known)]
    return ReportTable(columns, [row for row in rows if len(set(row[1:])) > 1])


def _sources(runs: Mapping[str, _Trained]) -> ReportTable:
    """Return of each source the tuples trained on and the held-out loss, run by run."""
    names = sorted({source for run in runs.values() for source in run.planned})
    trained = {name: run for name, run in runs.items() if run.planned}
    columns = [Column("source", "source", TEXT)]
    columns += [Column(f"tuples_{name}", f"tuples, {name}", COUNT) for name in trained]
    columns += [Column(f"loss_{name}", f"held-out loss, {name}", LOSS) for name in trained]
    rows = [
        (
            source,
            *(run.planned.get(source, (0, 0))[0] for run in trained.values()),
            *(run.last.get(source, (None, None))[1] for run in trained.values()),
        )
        for source in names
    ]
    return ReportTable(columns, rows)


def _grid(names: Sequence[str], scores: Sequence[Compared]) -> ReportTable:
    """Return the scores with a column a run and one for its difference, for the page alone."""
    cells = {(row.task, row.model): row for row in scores}
    columns = [Column("task", "task", TEXT), Column(names[0], names[0], POINTS)]
    for name in names[1:]:
        columns += [
            Column(name, name, POINTS),
            Column(f"to_{name}", "difference", GAIN),
            Column(f"is_{name}", "", TEXT),
        ]
    rows = []
    for task in dict.fromkeys(row.task for row in scores):
        row: list[Any] = [task, cells[task, names[0]].score]
        for one in (cells[task, name] for name in names[1:]):
            row += [one.score, one.points, _verdict(one.real)]
        rows.append(row)
    return ReportTable(columns, rows)


def _verdict(real: bool | None) -> str:
    return "" if real is None else "more than chance" if real else "may be chance"


def _intervals(names: Sequence[str], scores: Sequence[Compared]) -> str:
    tasks = list(dict.fromkeys(row.task for row in scores if row.low is not None))
    groups = {
        name: {
            row.task: (row.points, row.low, row.high, row.real)
            for row in scores
            if row.model == name and row.low is not None
        }
        for name in names[1:]
    }
    return figures.differences(tasks, groups, label=f"points over {names[0]}")


def _losses(runs: Mapping[str, _Trained]) -> str:
    lines = {}
    for name, run in runs.items():
        if run.metrics:
            blocks = np.array_split(np.arange(len(run.metrics["step"])), min(MOST_POINTS, len(run.metrics["step"])))
            steps = [int(run.metrics["step"][block[-1]]) for block in blocks]
            lines[name] = {"loss": figures.Line(steps, [float(run.metrics["loss"][block].mean()) for block in blocks])}
    return figures.curves(lines, zero=True) if lines else ""
