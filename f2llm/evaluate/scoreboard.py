"""The scoreboard: every candidate on every task, means, and gains over the base.

A task whose source was skipped has no score, nor has one whose main score is undefined (a correlation
with equal numbers). A mean over tasks of which one has no score is null, as mteb's leaderboard has it.
Scores are main scores in points, 0..100.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import BASE_LAST, BASE_MEAN, Candidate
from f2llm.errors import InputError
from f2llm.evaluate.aggregate import borda, mean, splits_of, subsets_of, task_score, whole_of, whole_scores
from f2llm.evaluate.aggregate import means as leaderboard_means
from f2llm.evaluate.tasks.mteb import main_score_of
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
        pa.field(
            "not_decontaminated", pa.string()
        ),  # why texts of the task may be in the training data; null: they are out
        pa.field("metric", pa.string(), nullable=False),
        pa.field("data_revision", pa.string(), nullable=False),  # commit of mteb's data; sha256 of the folder of others
        pa.field("score", pa.float64()),  # main score in points, 0..100; null: skipped or undefined
        pa.field("gain_over_last", pa.float64()),  # points over the base with last-token pooling
        pa.field("gain_over_mean", pa.float64()),  # points over the base with mean pooling
    ]
)


class Cell(NamedTuple):
    """A row of the scoreboard."""

    model: str
    role: str
    revision: str | None
    task: str
    part_of: str | None
    type: str
    source: str
    domain: str
    not_decontaminated: str | None
    metric: str
    data_revision: str
    score: float | None
    gain_over_last: float | None
    gain_over_mean: float | None


class Decontamination(NamedTuple):
    """What may have left evaluation texts in the training data."""

    off: Sequence[str] = ()  # trained sources in which they were not looked for
    report: Sequence[str] = ()  # trained sources in which they were counted only
    missing: Sequence[str] = ()  # tasks that had no texts to look for

    def why_not(self, task: str) -> str | None:
        """Return why texts of a task may be in the training data, None if they are out."""
        reasons = ["no test data to match against"] if task in self.missing else []
        reasons += [f"not looked for in {', '.join(self.off)}"] if self.off else []
        reasons += [f"found but not dropped in {', '.join(self.report)}"] if self.report else []
        return "; ".join(reasons) or None


class Means(NamedTuple):
    """Means of one candidate in points; null when a task they include has no score."""

    task: float | None  # over all tasks
    task_type: float | None  # over the means of the types
    in_domain: float | None
    untrained: float | None


def build_scoreboard(
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
    """Write the table (schema SCOREBOARD) and its summary (JSON: means, gains, tasks not improved).

    `scores` are the result files {candidate}/{task}.json of all candidates and tasks; `trained`
    names the sources trained on, `declared` the tasks whose train split is in one of them, or that are no
    zero-shot task in mteb's sense. `extras` are added to the summary. Returns counts.

    Raises:
        InputError: result files are missing, or two candidates were scored on different rows.
    """
    results = {(Path(path).parent.name, Path(path).stem): read_json(path) for path in scores}
    _check(results, candidates, tasks)
    points = {
        (name, task.name): _points(results[name, task.name], task) for name in _names(candidates) for task in tasks
    }
    clean = decontamination or Decontamination()
    names = {candidate.role: candidate.name for candidate in candidates}
    cells = []
    for candidate in candidates:
        for task in tasks:
            score, result = points[candidate.name, task.name], results[candidate.name, task.name]
            origin = task.mteb.repository if task.mteb else task.source or task.data
            cell = Cell(
                candidate.name,
                candidate.role,
                result["model_revision"],
                task.name,
                task.part_of or None,
                task.type,
                origin,
                IN_DOMAIN if task.source in trained or task.name in declared else UNTRAINED,
                clean.why_not(task.name),
                main_score_of(task),
                result["dataset_revision"],
                score,
                _minus(score, points.get((names.get(BASE_LAST), task.name))),
                _minus(score, points.get((names.get(BASE_MEAN), task.name))),
            )
            cells.append(cell)
    write_rows(table, schema=SCOREBOARD, rows=cells)
    content = summarise(cells) | _leaderboard(cells, tasks) | dict(extras or {})
    write_json(summary, content)
    skipped = len(content["tasks_skipped"])
    return {"candidates": len(candidates), "tasks": len(tasks), "tasks_skipped": skipped} | {
        f"mean {model['model']}": model["means"]["task"] for model in content["models"]
    }


def _names(candidates: Sequence[Candidate]) -> list[str]:
    return [candidate.name for candidate in candidates]


def _leaderboard(cells: Sequence[Cell], tasks: Sequence[Task]) -> dict[str, Any]:
    """Return by model the means of mteb's types, and the ranks of a Borda count over all tasks."""
    types = {whole_of(task): task.type_name for task in tasks}
    single: dict[str, dict[str, float | None]] = {}
    for cell in cells:
        single.setdefault(cell.model, {})[cell.task] = cell.score
    scores = {name: whole_scores(found, tasks) for name, found in single.items()}
    ranks = borda(scores, list(types))
    return {
        "leaderboard": [
            {"model": name, "types": leaderboard_means(found, types).types}
            | dict(zip(("borda_rank", "borda_points"), ranks.get(name, (None, None)), strict=True))
            for name, found in scores.items()
        ]
    }


def summarise(cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the summary of a scoreboard: by candidate its means, by task what the run gained."""
    of_run = [cell for cell in cells if cell.model == cells[0].model]
    models = {cell.model: cell.role for cell in cells}
    return {
        "run": of_run[0].model,
        "models": [
            {"model": name, "role": role, "means": means([cell for cell in cells if cell.model == name])._asdict()}
            for name, role in models.items()
        ],
        "tasks": [
            {
                "task": own.task,
                "type": own.type,
                "source": own.source,
                "domain": own.domain,
                "not_decontaminated": own.not_decontaminated,
                "metric": own.metric,
                "scores": {cell.model: cell.score for cell in cells if cell.task == own.task},
                "gain_over_last": own.gain_over_last,
                "gain_over_mean": own.gain_over_mean,
            }
            for own in of_run
        ],
        "tasks_not_improved": not_improved(of_run),
        "tasks_skipped": [cell.task for cell in of_run if cell.score is None and cell.revision is None],
        "tasks_undefined": undefined(cells),
    }


def means(cells: Sequence[Cell]) -> Means:
    """Return the means of one candidate's row of the scoreboard.

    Parts of one task count as one, in-domain if one of them is.
    """
    whole: dict[str, list[Cell]] = {}
    for cell in cells:
        whole.setdefault(cell.part_of or cell.task, []).append(cell)
    cells = [
        min(parts, key=lambda cell: cell.domain != IN_DOMAIN)._replace(score=mean(cell.score for cell in parts))
        for parts in whole.values()
    ]
    types = _grouped(cells, lambda cell: cell.type)
    domains = _grouped(cells, lambda cell: cell.domain)
    return Means(
        mean(cell.score for cell in cells),
        mean(mean(scores) for scores in types.values()),
        mean(domains.get(IN_DOMAIN, ())),
        mean(domains.get(UNTRAINED, ())),
    )


def not_improved(cells: Sequence[Cell]) -> list[str]:
    """Return the tasks on which the run is not above the better of the two poolings of its base."""
    scored = [cell for cell in cells if cell.gain_over_last is not None and cell.gain_over_mean is not None]
    return [cell.task for cell in scored if min(cell.gain_over_last, cell.gain_over_mean) <= 0]


def undefined(cells: Sequence[Cell]) -> list[str]:
    """Return the tasks on which a model was scored without a number coming out."""
    return list(dict.fromkeys(cell.task for cell in cells if cell.score is None and cell.revision is not None))


def _grouped(cells: Sequence[Cell], by: Callable[[Cell], str]) -> dict[str, list[float | None]]:
    groups: dict[str, list[float | None]] = {}
    for cell in cells:
        groups.setdefault(by(cell), []).append(cell.score)
    return groups


def _points(result: Mapping[str, Any], task: Task) -> float | None:
    """Return mteb's main score in points, over all subsets and splits of the task."""
    score = task_score(result, splits=splits_of(task), subsets=subsets_of(task))
    return None if score is None else round(100 * score, 4)


def _minus(score: float | None, base: float | None) -> float | None:
    return None if score is None or base is None else score - base


def _check(results: Mapping[tuple[str, str], Any], candidates: Sequence[Candidate], tasks: Sequence[Task]) -> None:
    wanted = [(candidate.name, task.name) for candidate in candidates for task in tasks]
    missing = [f"scores of {model} on {task}: missing; run its evaluation" for model, task in wanted
               if (model, task) not in results]  # fmt: skip
    if missing:
        raise InputError(missing)
    for task in tasks:
        revisions = {results[candidate.name, task.name]["dataset_revision"] for candidate in candidates}
        if len(revisions) > 1:
            raise InputError(
                f"scores on {task.name}: the candidates were scored on different rows ({', '.join(sorted(revisions))});"
                " delete these scores and run again"
            )
