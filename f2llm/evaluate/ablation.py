"""What each change of an ablation did to the scores: a table of differences with their uncertainty."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from f2llm.evaluate.compare import compared, table_of
from f2llm.records.files import read_json
from f2llm.records.scores import BOUNDED, MEAN, points_of
from f2llm.records.tables import read_table, write_rows

SPREAD = 2 * 1.96  # standard errors in an interval of 95 %

# ablations/{run}/scores.parquet; changes in the order of the config, tasks in that of the benchmark, both means last.
ABLATIONS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),  # of the change
        pa.field("task", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # that the task is drawn from
        pa.field("before", pa.float64()),  # points of the run without the change
        pa.field("after", pa.float64()),
        pa.field("points", pa.float64()),  # after less before
        pa.field("low", pa.float64()),  # of 95 %: paired bootstrap; of the mean: tasks taken as independent
        pa.field("high", pa.float64()),
        pa.field("real", pa.bool_()),  # the interval is on one side of zero
    ]
)


class Effect(NamedTuple):
    """What a change did to the score of one task, or to a mean of tasks."""

    run: str
    task: str
    source: str
    before: float | None
    after: float | None
    points: float | None
    low: float | None
    high: float | None
    real: bool | None


def ablation_effects(scores: str | Path, *, run: str, changed: Sequence[str], tasks: Mapping[str, str]) -> list[Effect]:
    """Return what each changed run's scores differ by from those of `run`.

    `scores` holds the folders of result files; `tasks` maps each task to the source that it is drawn from, or "".
    """
    effects = []
    for name in changed:
        own = [_effect(Path(scores), run, name, task, source) for task, source in tasks.items()]
        effects += [
            *own,
            _mean(name, MEAN, own),
            _mean(name, BOUNDED, [one for one in own if one.low is not None]),
        ]
    return effects


def write_effects(
    scores: str | Path, *, run: str, changed: Sequence[str], tasks: Mapping[str, str], table: str | Path
) -> int:
    """Write the table (schema ABLATIONS) and return its rows."""
    effects = ablation_effects(scores, run=run, changed=changed, tasks=tasks)
    return write_rows(table, schema=ABLATIONS, rows=effects)


def read_effects(table: str | Path) -> list[Effect]:
    """Return the rows of the table."""
    return [Effect(**row) for row in read_table(table).to_pylist()]


def effect_lines(effects: Sequence[Effect], *, run: str) -> str:
    """Return a table: changes down, tasks across, differences in points; a star marks more than chance."""
    tasks = list(dict.fromkeys(one.task for one in effects))
    rows = [[f"less {run}", *tasks]]
    for name in dict.fromkeys(one.run for one in effects):
        of = {one.task: one for one in effects if one.run == name}
        rows.append([name.removeprefix(f"{run}-"), *(_shown(of[task]) for task in tasks)])
    return "\n".join([table_of([list(row) for row in zip(*rows, strict=True)]), "* more than chance (95 %)"])


def _effect(scores: Path, run: str, changed: str, task: str, source: str) -> Effect:
    paths = [scores / one / f"{task}.json" for one in (run, changed)]
    before, after = (points_of(read_json(path)) if path.is_file() else None for path in paths)
    found = compared(paths[0].parent, paths[1].parent, task, before, after)
    return Effect(changed, task, source, before, after, found.points, found.low, found.high, found.real)


def _mean(name: str, task: str, effects: Sequence[Effect]) -> Effect:
    known = [one for one in effects if one.points is not None]
    if not known:
        return Effect(name, task, "", None, None, None, None, None, None)
    points = statistics.fmean(one.points for one in known)
    bounded = all(one.low is not None for one in known)
    half = (
        math.sqrt(sum(((one.high - one.low) / SPREAD) ** 2 for one in known)) / len(known) * SPREAD / 2
        if bounded
        else None
    )
    told = (points - half, points + half, abs(points) > half) if half is not None else (None, None, None)
    return Effect(
        name, task, "", statistics.fmean(one.before for one in known), statistics.fmean(one.after for one in known),
        points, *told,
    )  # fmt: skip


def _shown(effect: Effect) -> str:
    return "-" if effect.points is None else f"{effect.points:+.2f}{'*' if effect.real else ''}"
