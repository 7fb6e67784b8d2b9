"""How each change of an ablation moved the scores: a table of differences with their uncertainty."""

import math
import statistics
from collections import namedtuple
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from f2llm.evaluate.compare import compared, table_of
from f2llm.records.files import read_json
from f2llm.records.scores import BOUNDED, MEAN, points_of
from f2llm.records.tables import read_table, write_rows

INTERVAL_IN_ERRORS = 2 * 1.96  # width of an interval of 95 % in standard errors

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


class Effect(namedtuple("Effect", ABLATIONS.names)):
    """How a change moved the score of one task, or a mean of tasks: a row of ABLATIONS."""


def ablation_effects(scores: str | Path, *, run: str, changed: Sequence[str], tasks: Mapping[str, str]) -> list[Effect]:
    """The differences of each changed run's scores to those of `run`, task by task and in the mean.

    `scores` holds the folders of result files; `tasks` maps each task to the source that it is drawn from, or "".
    """
    effects = []
    for name in changed:
        of_tasks = [_effect(Path(scores), run, name, task, source) for task, source in tasks.items()]
        with_interval = [effect for effect in of_tasks if effect.low is not None]
        effects += [*of_tasks, _mean(name, MEAN, of_tasks), _mean(name, BOUNDED, with_interval)]
    return effects


def write_effects(
    scores: str | Path, *, run: str, changed: Sequence[str], tasks: Mapping[str, str], table: str | Path
) -> int:
    """Write the table (schema ABLATIONS); return its number of rows."""
    effects = ablation_effects(scores, run=run, changed=changed, tasks=tasks)
    return write_rows(table, schema=ABLATIONS, rows=effects)


def read_effects(table: str | Path) -> list[Effect]:
    """Read the table (schema ABLATIONS)."""
    return [Effect(**row) for row in read_table(table).to_pylist()]


def effect_lines(effects: Sequence[Effect], *, run: str) -> str:
    """A table for a person: tasks down, changes across, differences in points; a star marks more than chance."""
    tasks = list(dict.fromkeys(effect.task for effect in effects))
    columns = [[f"less {run}", *tasks]]
    for name in dict.fromkeys(effect.run for effect in effects):
        of_change = {effect.task: effect for effect in effects if effect.run == name}
        columns.append([name.removeprefix(f"{run}-"), *(_shown(of_change[task]) for task in tasks)])
    return "\n".join([table_of(list(zip(*columns, strict=True))), "* more than chance (95 %)"])


def _effect(scores: Path, run: str, changed: str, task: str, source: str) -> Effect:
    paths = [scores / name / f"{task}.json" for name in (run, changed)]
    before, after = (points_of(read_json(path)) if path.is_file() else None for path in paths)
    row = compared(task, scores / run, scores / changed, before=before, after=after)
    return Effect(changed, task, source, before, after, row.points, row.low, row.high, row.real)


def _mean(changed: str, name: str, effects: Sequence[Effect]) -> Effect:
    """The mean effect on tasks that have one; its interval takes the tasks as independent."""
    known = [effect for effect in effects if effect.points is not None]
    if not known:
        return Effect(changed, name, "", None, None, None, None, None, None)
    before = statistics.fmean(effect.before for effect in known)
    after = statistics.fmean(effect.after for effect in known)
    points = statistics.fmean(effect.points for effect in known)
    if any(effect.low is None for effect in known):
        return Effect(changed, name, "", before, after, points, None, None, None)
    # Variances of independent tasks add up; the mean divides their root by the number of tasks.
    errors = [(effect.high - effect.low) / INTERVAL_IN_ERRORS for effect in known]
    half = math.sqrt(sum(error**2 for error in errors)) / len(known) * INTERVAL_IN_ERRORS / 2
    return Effect(changed, name, "", before, after, points, points - half, points + half, abs(points) > half)


def _shown(effect: Effect) -> str:
    return "-" if effect.points is None else f"{effect.points:+.2f}{'*' if effect.real else ''}"
