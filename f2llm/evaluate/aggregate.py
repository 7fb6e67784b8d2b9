"""Scores of tasks to scores of models, as mteb's leaderboard does it.

A task's score is the mean of its main score over (split, subset); Mean (Task) is over tasks, Mean (TaskType)
over the means of the types. A missing part makes every mean that it belongs to null. Scores are 0..1 here.
Tasks that are parts of one (CQADupstackRetrieval has twelve) count as that one, with the mean of their scores.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.config.benchmarks import Task

DEFAULT = "default"
TEST = "test"


class Means(NamedTuple):
    """What a leaderboard says of a model; null where a part is missing."""

    task: float | None
    task_type: float | None
    types: dict[str, float | None]


def splits_of(task: Task) -> tuple[str, ...]:
    """Return the splits that make a task's score."""
    return task.mteb.splits if task.mteb else (TEST,)


def subsets_of(task: Task) -> tuple[str, ...]:
    """Return the subsets that make a task's score."""
    return task.mteb.subsets if task.mteb else (DEFAULT,)


def task_score(result: Mapping[str, Any], *, splits: Sequence[str], subsets: Sequence[str]) -> float | None:
    """Return the main score of a result file of mteb's, or null where a split, subset or score is missing."""
    cells = []
    for split in splits:
        found = {cell["hf_subset"]: cell.get("main_score") for cell in result.get("scores", {}).get(split, ())}
        cells += [found.get(subset) for subset in subsets]
    return mean(cells)


def mean(scores: Iterable[float | None]) -> float | None:
    """Return the mean, or null where a score is missing or there are none."""
    scores = list(scores)
    return None if not scores or None in scores else statistics.fmean(scores)


def whole_of(task: Task) -> str:
    """Return the name under which a task counts."""
    return task.part_of or task.name


def whole_scores(scores: Mapping[str, float | None], tasks: Sequence[Task]) -> dict[str, float | None]:
    """Return the scores of the tasks that count; `scores` is task -> score."""
    found: dict[str, list[float | None]] = {}
    for task in tasks:
        found.setdefault(whole_of(task), []).append(scores.get(task.name))
    return {name: mean(parts) for name, parts in found.items()}


def means(scores: Mapping[str, float | None], types: Mapping[str, str]) -> Means:
    """Return the means of one model; `scores` is task -> score, `types` task -> type, of all tasks that count."""
    by_type: dict[str, list[float | None]] = {}
    for task, kind in types.items():
        by_type.setdefault(kind, []).append(scores.get(task))
    of_types = {kind: mean(found) for kind, found in sorted(by_type.items())}
    return Means(mean(scores.get(task) for task in types), mean(of_types.values()), of_types)


def borda(scores: Mapping[str, Mapping[str, float | None]], tasks: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Return model -> (rank, points) of a Borda count over `tasks`; models that lack a score are left out.

    On a task a model gets as many points as there are models, less its rank; equal scores share the
    average of their ranks. Models with equal points have the better rank.
    """
    whole = {model: found for model, found in scores.items() if all(found.get(task) is not None for task in tasks)}
    points = dict.fromkeys(whole, 0.0)
    for task in tasks:
        for model, found in whole.items():
            above = sum(other[task] > found[task] for other in whole.values())
            equal = sum(other[task] == found[task] for other in whole.values())
            points[model] += len(whole) - (above + (equal + 1) / 2)
    return {model: (1 + sum(other > own for other in points.values()), own) for model, own in points.items()}
