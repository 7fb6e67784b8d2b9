"""The scoreboard: every candidate on every task, means, and gains over the base.

A task whose source was skipped has no score, nor has one whose main score is undefined (a correlation
with equal numbers). A mean over tasks is null when one of them has no score, as on mteb's leaderboard.
Scores are main scores in points, 0..100.
"""

from collections import namedtuple
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import BASE_LAST, BASE_MEAN, Candidate
from f2llm.evaluate.aggregate import (
    borda,
    grouped,
    in_points,
    leaderboard_means,
    mean,
    score_of,
    whole_of,
    whole_scores,
)
from f2llm.evaluate.tasks.data import origin_of
from f2llm.evaluate.tasks.mteb import main_score_of
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.tables import write_rows

IN_DOMAIN, UNTRAINED = "in-domain", "untrained"

# scores/scoreboard.parquet; candidates in the order of their roles, tasks in that of the benchmark.
SCOREBOARD = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),  # run | base_last | base_mean | ceiling | other | cut
        pa.field("revision", pa.string()),  # hash of all that decides a vector; null where nothing was scored
        pa.field("task", pa.string(), nullable=False),
        pa.field("part_of", pa.string()),  # the task of mteb as which it counts in means, with others
        pa.field("type", pa.string(), nullable=False),  # as in the benchmark's stanza
        pa.field("source", pa.string(), nullable=False),  # or repository, or folder, of its rows
        pa.field("domain", pa.string(), nullable=False),  # in-domain: the source is trained on | untrained
        pa.field("not_decontaminated", pa.string()),  # why the task's texts may be in the training data; null: are out
        pa.field("metric", pa.string(), nullable=False),
        pa.field("data_revision", pa.string(), nullable=False),  # commit of mteb's data; sha256 of the folder of others
        pa.field("score", pa.float64()),  # main score in points, 0..100; null: skipped or undefined
        pa.field("gain_over_last", pa.float64()),  # points over the base with last-token pooling
        pa.field("gain_over_mean", pa.float64()),  # points over the base with mean pooling
    ]
)


class ScoreboardRow(namedtuple("ScoreboardRow", SCOREBOARD.names)):
    """One candidate on one task: a row of the table."""


class Decontamination(NamedTuple):
    """Why evaluation texts may still be in the training data."""

    off: Sequence[str] = ()  # trained sources in which they were not looked for
    report: Sequence[str] = ()  # trained sources in which they were counted only
    missing: Sequence[str] = ()  # tasks that had no texts to look for

    def why_not(self, task: str) -> str | None:
        """The reasons why texts of a task may be in the training data, None if they are out."""
        reasons = ["no test data to match against"] if task in self.missing else []
        reasons += [f"not looked for in {', '.join(self.off)}"] if self.off else []
        reasons += [f"found but not dropped in {', '.join(self.report)}"] if self.report else []
        return "; ".join(reasons) or None


def write_scoreboard(
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    *,
    trained: Sequence[str],
    declared: Sequence[str] = (),
    decontamination: Decontamination | None = None,
    scores: Sequence[str | Path],
    table: str | Path,
    summary: str | Path,
    extras: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write the table (schema SCOREBOARD) and its summary (JSON: means, gains, tasks not improved); return counts.

    `scores` are the result files {candidate}/{task}.json of all candidates and tasks; `trained` names the sources
    trained on, `declared` the tasks whose train split is in one of them, or that are no zero-shot task in mteb's
    sense. `extras` are added to the summary.

    Raises:
        InputError: result files are missing, or two candidates were scored on different rows.
    """
    results = {(Path(path).parent.name, Path(path).stem): read_json(path) for path in scores}
    _check(results, candidates, tasks)
    points = {
        candidate.name: {task.name: in_points(score_of(task, results[candidate.name, task.name])) for task in tasks}
        for candidate in candidates
    }
    decontamination = decontamination or Decontamination()
    names = {candidate.role: candidate.name for candidate in candidates}
    last, of_mean = (points.get(names.get(role), {}) for role in (BASE_LAST, BASE_MEAN))
    rows = []
    for candidate in candidates:
        for task in tasks:
            score, result = points[candidate.name][task.name], results[candidate.name, task.name]
            rows.append(
                ScoreboardRow(
                    model=candidate.name,
                    role=candidate.role,
                    revision=result["model_revision"],
                    task=task.name,
                    part_of=task.part_of or None,
                    type=task.type,
                    source=origin_of(task),
                    domain=IN_DOMAIN if task.source in trained or task.name in declared else UNTRAINED,
                    not_decontaminated=decontamination.why_not(task.name),
                    metric=main_score_of(task),
                    data_revision=result["dataset_revision"],
                    score=score,
                    gain_over_last=_minus(score, last.get(task.name)),
                    gain_over_mean=_minus(score, of_mean.get(task.name)),
                )
            )
    write_rows(table, schema=SCOREBOARD, rows=rows)
    content = summarise(rows) | {"leaderboard": _leaderboard(points, tasks)} | dict(extras or {})
    write_json(summary, content)
    skipped = len(content["tasks_skipped"])
    return {"candidates": len(candidates), "tasks": len(tasks), "tasks_skipped": skipped} | {
        f"mean {model['model']}": model["means"]["task"] for model in content["models"]
    }


def _leaderboard(points: Mapping[str, Mapping[str, float | None]], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """By model the means of mteb's types, and its rank and points in a Borda count over all tasks."""
    types = {whole_of(task): task.type_name for task in tasks}
    scores = {model: whole_scores(of_model, tasks) for model, of_model in points.items()}
    ranks = borda(scores, list(types))
    board = []
    for model, of_model in scores.items():
        rank, borda_points = ranks.get(model, (None, None))
        types_of_model = leaderboard_means(of_model, types).types
        board.append({"model": model, "types": types_of_model, "borda_rank": rank, "borda_points": borda_points})
    return board


def summarise(rows: Sequence[ScoreboardRow]) -> dict[str, Any]:
    """The summary of a scoreboard: by candidate its means, by task what the run (the first candidate) gained."""
    of_run = [row for row in rows if row.model == rows[0].model]
    roles = {row.model: row.role for row in rows}
    shown = ("task", "type", "source", "domain", "not_decontaminated", "metric", "gain_over_last", "gain_over_mean")
    return {
        "run": of_run[0].model,
        "models": [
            {"model": model, "role": role, "means": means_of([row for row in rows if row.model == model])}
            for model, role in roles.items()
        ],
        "tasks": [
            {name: getattr(run_row, name) for name in shown}
            | {"scores": {row.model: row.score for row in rows if row.task == run_row.task}}
            for run_row in of_run
        ],
        "tasks_not_improved": not_improved(of_run),
        "tasks_skipped": [row.task for row in of_run if row.score is None and row.revision is None],
        # Some model was scored on them, but the main score is not a number.
        "tasks_undefined": list(
            dict.fromkeys(row.task for row in rows if row.score is None and row.revision is not None)
        ),
    }


def means_of(rows: Sequence[ScoreboardRow]) -> dict[str, float | None]:
    """The means of one candidate in points, over all tasks, their types, and by domain; null where one has no score.

    Parts of one task count as one task, which is in-domain if one of them is.
    """
    whole = []
    for parts in grouped((row.part_of or row.task, row) for row in rows).values():
        stands_for_all = next((row for row in parts if row.domain == IN_DOMAIN), parts[0])
        whole.append(stands_for_all._replace(score=mean(row.score for row in parts)))
    by_domain = grouped((row.domain, row.score) for row in whole)
    return {
        "task": mean(row.score for row in whole),
        "task_type": mean(map(mean, grouped((row.type, row.score) for row in whole).values())),
        "in_domain": mean(by_domain.get(IN_DOMAIN, ())),
        "untrained": mean(by_domain.get(UNTRAINED, ())),
    }


def not_improved(rows: Sequence[ScoreboardRow]) -> list[str]:
    """The tasks on which the run is not above the better of the two poolings of its base."""
    scored = [row for row in rows if row.gain_over_last is not None and row.gain_over_mean is not None]
    return [row.task for row in scored if min(row.gain_over_last, row.gain_over_mean) <= 0]


def _minus(score: float | None, base: float | None) -> float | None:
    return None if score is None or base is None else score - base


def _check(results: Mapping[tuple[str, str], Any], candidates: Sequence[Candidate], tasks: Sequence[Task]) -> None:
    missing = [
        f"scores of {candidate.name} on {task.name}: missing; run its evaluation"
        for candidate in candidates
        for task in tasks
        if (candidate.name, task.name) not in results
    ]
    if missing:
        raise InputError(missing)
    for task in tasks:
        revisions = {results[candidate.name, task.name]["dataset_revision"] for candidate in candidates}
        if len(revisions) > 1:
            raise InputError(
                f"scores on {task.name}: the candidates were scored on different rows ({', '.join(sorted(revisions))});"
                " delete these scores and run again"
            )
