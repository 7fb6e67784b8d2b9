"""What came after a step of training: checkpoints, models and scores that it is in."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from f2llm.lineage.layout import Layout
from f2llm.lineage.query import ask
from f2llm.records.scores import score_files

STEP = re.compile(r"step_(\d+)")


class Seen(NamedTuple):
    """What a run made of data that it saw. `steps` of training saw it, from `first` to `last`."""

    run: str
    steps: int
    first: int | None
    last: int | None
    checkpoints: list[str]
    models: list[str]
    scores: list[str]


def seen_by(layout: Layout, steps: Sequence[int]) -> Seen:
    """Return what follows from steps that saw something; a checkpoint after the first of them knows it.

    Paths are relative to the folder of results. Files that do not exist (yet, or any more) are not named.
    """
    if not steps:
        return Seen(layout.run, 0, None, None, [], [], [])
    first, last = min(steps), max(steps)
    kept = sorted(layout.of_run("checkpoints").glob("*/step_*"))
    numbers = [(path, STEP.fullmatch(path.name)) for path in kept]
    checkpoints = [path for path, match in numbers if match and int(match[1]) > first]
    model = layout.of_run("model")
    models = [model] if model.is_dir() else []
    scores = score_files(layout.results / "scores" / layout.run) if models else []
    shown = [[str(path.relative_to(layout.results)) for path in paths] for paths in (checkpoints, models, scores)]
    return Seen(layout.run, len(set(steps)), first, last, *shown)


def steps_of(layout: Layout, source: str, tuple_rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return (row of the source's tuples, step) of all places in the plan that saw these rows, by step."""
    sql = (
        "SELECT tuple_row, step FROM read_parquet(?) "
        "WHERE source = ? AND tuple_row IN (SELECT unnest(?)) ORDER BY step, tuple_row"
    )
    return ask(sql, [layout.of_run("plan.parquet")], source, list(tuple_rows)) if tuple_rows else []
