"""Result files of mteb below results/scores: how to find, read, check and sum them up; a row of two models compared."""

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.records.errors import InputError

# Rows of a table of effects that are no tasks.
MEAN, BOUNDED = MEANS = ("mean of tasks", "mean of tasks with intervals")
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
    """The result files of a model in its folder of results/scores, by task; none where there is no folder."""
    return [path for path in sorted(Path(folder).glob("*.json")) if path.stem not in LEFT_OUT]


def read_result(path: str | Path, *, remedy: str) -> dict[str, Any]:
    """Read and check a result file of mteb's; `remedy` tells a person what to do about any other file.

    Raises:
        InputError: it is torn, or laid out in another way.
    """
    content = parse_result(Path(path).read_bytes(), path=path, remedy=remedy)
    check_result(content, path=path, remedy=remedy)
    return content


def parse_result(text: str | bytes, *, path: str | Path, remedy: str) -> Any:  # noqa: ANN401 - JSON is the border
    """Parse a result file, whatever its layout; what is not a number (NaN) becomes None.

    Raises:
        InputError: it is torn.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except ValueError as error:
        raise InputError(f"{path}: is no result of mteb's ({error}); {remedy}") from error


def check_result(content: object, *, path: str | Path, remedy: str) -> None:
    """Check that scores are laid out as mteb writes them: split -> cells, each with its subset and main score.

    Raises:
        InputError: they are not.
    """
    if fault := _fault(content):
        raise InputError(f"{path}: is no result of mteb's ({fault}); {remedy}")


def rows_of(result: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The (split, subset) pairs that a result has scores of."""
    return frozenset((split, cell["hf_subset"]) for split, cells in result["scores"].items() for cell in cells)


def points_of(result: Mapping[str, Any]) -> float | None:
    """Main score of a result in points, the mean over splits and subsets; None if one is missing."""
    cells = [cell.get("main_score") for split in result["scores"].values() for cell in split]
    return None if not cells or None in cells else 100 * statistics.fmean(cells)


def _fault(content: object) -> str:
    """The first thing that is not as mteb writes it, "" if all is."""
    scores = content.get("scores") if isinstance(content, Mapping) else None
    if not isinstance(scores, Mapping):
        return "it has no `scores` by split"
    for split, cells in scores.items():
        if not isinstance(cells, list):
            return f"split {split!r} is no list of scores"
        for cell in cells:
            if not isinstance(cell, Mapping) or not isinstance(cell.get("hf_subset"), str):
                return f"split {split!r}: a score has no `hf_subset`"
            score = cell.get("main_score")
            if isinstance(score, bool) or not isinstance(score, int | float | None):
                return f"split {split!r}, subset {cell['hf_subset']!r}: `main_score` is {score!r}, no number"
    return ""
