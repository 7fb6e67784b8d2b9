"""Result files of mteb below results/scores, as everybody reads them, and a row of two models compared."""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

LEFT_OUT = ("scoreboard", "costs")  # files beside the scores of tasks


class Compared(NamedTuple):
    """A model's score on a task in points, and its difference to the first model; None where there is none.

    `low` and `high` hold 95 % of the draws of a paired bootstrap; `real`: both are on one side of zero.
    """

    task: str
    model: str
    score: float | None
    points: float | None
    low: float | None
    high: float | None
    real: bool | None


def score_files(folder: str | Path) -> list[Path]:
    """Return the result files of a model in its folder of results/scores, by task; none where there is no folder."""
    return [path for path in sorted(Path(folder).glob("*.json")) if path.stem not in LEFT_OUT]


def points_of(result: Mapping[str, Any]) -> float | None:
    """Return the main score of a result in points, the mean over splits and subsets; None if one is missing."""
    cells = [cell.get("main_score") for split in result["scores"].values() for cell in split]
    return None if not cells or None in cells else 100 * statistics.fmean(cells)
