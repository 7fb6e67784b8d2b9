"""From scores of tasks to scores of models, as mteb's leaderboard computes them. Scores are 0..1 here.

A task's score is the mean of its main score over (split, subset); Mean (Task) is the mean over tasks, Mean (TaskType)
that over the means of the types. A missing score makes every mean that includes it null. Tasks that are parts of one
(CQADupstackRetrieval has twelve) count as one task, with the mean of their scores.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from f2llm.config.benchmarks import Task

DEFAULT = "default"
TEST = "test"
Item = TypeVar("Item")


class LeaderboardMeans(NamedTuple):
    """The means of a model on a leaderboard; null where a score is missing."""

    task: float | None  # over tasks
    task_type: float | None  # over the means of the types
    types: dict[str, float | None]


def score_of(task: Task, result: Mapping[str, Any]) -> float | None:
    """The score of a task in a result file of mteb's; null where a split or subset that counts has none."""
    splits, subsets = (task.mteb.splits, task.mteb.subsets) if task.mteb else ((TEST,), (DEFAULT,))
    return task_score(result, splits=splits, subsets=subsets)


def task_score(result: Mapping[str, Any], *, splits: Sequence[str], subsets: Sequence[str]) -> float | None:
    """The main score of a result file of mteb's; null where a split, subset or score is missing."""
    scores = []
    for split in splits:
        cells = result.get("scores", {}).get(split, ())
        score_of = {cell["hf_subset"]: cell.get("main_score") for cell in cells}
        scores += [score_of.get(subset) for subset in subsets]
    return mean(scores)


def mean(scores: Iterable[float | None]) -> float | None:
    """The mean; null where a score is missing or there are none."""
    scores = list(scores)
    return None if not scores or None in scores else statistics.fmean(scores)


def in_points(score: float | None) -> float | None:
    """A score of 0..1 in points, four decimals."""
    return None if score is None else round(100 * score, 4)


def grouped(items: Iterable[tuple[str, Item]]) -> dict[str, list[Item]]:
    """The items of each key, in their order."""
    groups = defaultdict(list)
    for key, item in items:
        groups[key].append(item)
    return dict(groups)


def whole_of(task: Task) -> str:
    """The name under which a task counts in means: that of the task it is a part of, or its own."""
    return task.part_of or task.name


def whole_scores(scores: Mapping[str, float | None], tasks: Sequence[Task]) -> dict[str, float | None]:
    """The scores of whole tasks, from `scores` (task -> score) of their parts."""
    parts = grouped((whole_of(task), scores.get(task.name)) for task in tasks)
    return {whole: mean(of_parts) for whole, of_parts in parts.items()}


def leaderboard_means(scores: Mapping[str, float | None], types: Mapping[str, str]) -> LeaderboardMeans:
    """The means of one model; `scores` is task -> score, `types` task -> type of all tasks that count."""
    by_type = grouped((kind, scores.get(task)) for task, kind in types.items())
    of_types = {kind: mean(of_type) for kind, of_type in sorted(by_type.items())}
    return LeaderboardMeans(mean(scores.get(task) for task in types), mean(of_types.values()), of_types)


def borda(scores: Mapping[str, Mapping[str, float | None]], tasks: Sequence[str]) -> dict[str, tuple[int, float]]:
    """Model -> (rank, points) of a Borda count over `tasks`; models that lack a score are left out.

    On a task a model gets the number of models less its rank as points; equal scores share the average of their
    ranks. Models with equal points share the better rank.
    """
    complete = {
        model: of_model for model, of_model in scores.items() if all(of_model.get(task) is not None for task in tasks)
    }
    points = dict.fromkeys(complete, 0.0)
    for task in tasks:
        for model, of_model in complete.items():
            above = sum(other[task] > of_model[task] for other in complete.values())
            equal = sum(other[task] == of_model[task] for other in complete.values())  # itself included
            points[model] += len(complete) - (above + (equal + 1) / 2)
    return {
        model: (1 + sum(other > of_model for other in points.values()), of_model) for model, of_model in points.items()
    }
