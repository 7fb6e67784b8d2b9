"""What came after a step of training: checkpoints, models and scores that it is in."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.lineage.layout import Layout
from f2llm.lineage.query import ask
from f2llm.records.files import read_json

LEFT_OUT = ("scoreboard", "costs")  # files beside the scores of tasks
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
    scores = score_files(layout.results, layout.run) if models else []
    shown = [[str(path.relative_to(layout.results)) for path in paths] for paths in (checkpoints, models, scores)]
    return Seen(layout.run, len(set(steps)), first, last, *shown)


def score_files(results: Path, model: str) -> list[Path]:
    """Return the result files of a model, by task."""
    return [path for path in sorted((results / "scores" / model).glob("*.json")) if path.stem not in LEFT_OUT]


def points_of(path: Path) -> float | None:
    """Return the main score of a result file of mteb's in points, the mean over its splits and subsets."""
    cells = [cell.get("main_score") for split in read_json(path)["scores"].values() for cell in split]
    return None if not cells or None in cells else 100 * sum(cells) / len(cells)


def steps_of(layout: Layout, source: str, tuple_rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return (row of the source's tuples, step) of all places in the plan that saw these rows, by step."""
    sql = (
        "SELECT tuple_row, step FROM read_parquet(?) "
        "WHERE source = ? AND tuple_row IN (SELECT unnest(?)) ORDER BY step, tuple_row"
    )
    return ask(sql, [layout.of_run("plan.parquet")], source, list(tuple_rows)) if tuple_rows else []
