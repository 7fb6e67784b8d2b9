"""The job that builds a scoreboard, and the context of its scores.

Context: papers, leaderboards, earlier runs, whether differences are chance, contaminated texts, what the jobs cost.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Benchmark, Task
from f2llm.config.build import plain
from f2llm.config.candidates import RUN, Candidate
from f2llm.evaluate.aggregate import borda, in_points, leaderboard_means, score_of, whole_of, whole_scores
from f2llm.evaluate.bootstrap import paired_bootstrap, read_items
from f2llm.evaluate.published import published_scores
from f2llm.evaluate.scoreboard import Decontamination, write_scoreboard
from f2llm.evaluate.tasks.offline import offline
from f2llm.records.files import read_json, write_json
from f2llm.records.tables import read_table
from f2llm.runs.manifests import read_content


@dataclass(frozen=True, kw_only=True)
class Board:
    """Tasks of a scoreboard, and what the run was trained on."""

    tasks: tuple[Task, ...]
    trained: tuple[str, ...]  # sources
    datasets: tuple[str, ...]  # mteb's names of the data that they are made of
    declared: tuple[str, ...]  # tasks whose train split a source says it holds
    off: tuple[str, ...]  # sources in which evaluation texts were not looked for
    report: tuple[str, ...]  # sources in which they were counted only
    benchmark: Benchmark
    leaderboard: str  # folder of published results, or empty


CONTAMINATED = "decontaminate"  # stage of the rows of removed.parquet that hold an evaluation text


def build_scoreboard(
    candidates: Sequence[Candidate],
    board: Board,
    *,
    scores: Sequence[str | Path],
    manifests: Sequence[str | Path],
    checked: Sequence[str | Path],
    removed: Sequence[str | Path],
    index: Sequence[str | Path],
    changed: Sequence[str],
    table: str | Path,
    summary: str | Path,
    costs: str | Path,
) -> dict[str, Any]:
    """Write scoreboard (`table`), `summary` and the `costs` of the evaluation jobs; return counts.

    `scores` are the result files {candidate}/{task}.json, `manifests` those of the jobs that made them, `checked` the
    verdicts on the data of mteb's tasks, `removed` the tables of rows that curation removed, `index` the index of
    evaluation texts that it looked for (or nothing), `changed` the other runs of the same workflow, which are not
    earlier runs.

    Raises:
        InputError: results are missing or of other rows, or the leaderboard's folder cannot be read.
    """
    with offline("results/.cache"):
        seen = tasks_seen_in_training(board.datasets, board.tasks)
        folder = Path(scores[0]).parents[1]
        extras = context_of_scores(candidates, board, folder, removed=removed, checked=checked, changed=changed)
    write_json(costs, costs_of(manifests))
    missing = [task for folder in index for task in read_json(Path(folder, "index.json"))["missing"]]
    return write_scoreboard(
        candidates,
        board.tasks,
        trained=board.trained,
        declared=[*board.declared, *seen],
        decontamination=Decontamination(off=board.off, report=board.report, missing=missing),
        scores=scores,
        table=table,
        summary=summary,
        extras=extras,
    )


def tasks_seen_in_training(datasets: Sequence[str], tasks: Sequence[Task]) -> list[str]:
    """The tasks of mteb that are not zero-shot for a model trained on `datasets` (mteb's names).

    mteb counts a task as seen when it, or a task that mteb lists as similar in either direction, was trained on.
    """
    of_mteb = {task.name for task in tasks if task.mteb}
    if not datasets or not of_mteb:
        return []
    from mteb.models.model_meta import ModelMeta

    meta = ModelMeta.create_empty(
        overwrites={"name": "f2llm/run", "revision": "none", "training_datasets": set(datasets)}
    )
    return sorted(of_mteb & meta.get_training_datasets())


def context_of_scores(
    candidates: Sequence[Candidate],
    board: Board,
    scores: Path,
    *,
    removed: Sequence[str | Path],
    checked: Sequence[str | Path],
    changed: Sequence[str],
) -> dict[str, Any]:
    """The parts of the scoreboard's summary that put its scores into context.

    `scores` is the folder with all results of this checkout, those of earlier runs and of runs `changed` from this one
    included; the rest as for `build_scoreboard`.
    """
    tasks, benchmark = board.tasks, board.benchmark
    whole_benchmark = {task.name for task in benchmark.tasks} == {task.name for task in tasks}
    verdicts = map(read_json, checked)
    return {
        "paper": plain(list(benchmark.published)) if whole_benchmark else [],
        "published": _published_models(board.leaderboard, tasks) if board.leaderboard else [],
        "earlier_runs": _earlier_runs(scores, candidates, tasks, changed),
        "differences": _paired_differences(scores, candidates, tasks),
        "contaminated": _contaminated_texts(removed, tasks),
        "data_differs": {
            verdict["task"]: len(verdict["differences"]) for verdict in verdicts if verdict["differences"]
        },
    }


def costs_of(manifests: Sequence[str | Path]) -> dict[str, Any]:
    """Seconds, peak memory and device of each evaluated task, from the jobs' manifests; and the sum of seconds."""
    rows = []
    for path in manifests:
        job = read_content(path)
        counts = job["counts"]
        for task, seconds in counts.get("task_seconds", {}).items():
            rows.append({"models": sorted(counts.get("models", {})), "task": task, "seconds": seconds,
                         "peak_memory_mb": job["peak_memory_mb"], "device": counts.get("device")})  # fmt: skip
    return {
        "tasks": sorted(rows, key=lambda row: (row["models"], row["task"])),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
    }


def means_in_points(scores: Mapping[str, float | None], tasks: Sequence[Task]) -> dict[str, Any]:
    """The means of one model in points, four decimals; `scores` are 0..1."""
    means = leaderboard_means(whole_scores(scores, tasks), {whole_of(task): task.type_name for task in tasks})
    types = {name: in_points(score) for name, score in means.types.items()}
    return {"task": in_points(means.task), "task_type": in_points(means.task_type), "types": types}


def _published_models(folder: str, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Scores, means and Borda rank of each model of a folder of published results."""
    published = published_scores(folder, tasks)
    whole = {model: whole_scores(scores, tasks) for model, scores in published.items()}
    ranks = borda(whole, list(dict.fromkeys(map(whole_of, tasks))))
    return [
        {
            "model": model,
            "means": means_in_points(scores, tasks),
            "borda_rank": ranks.get(model, (None,))[0],
            "scores": {task: in_points(score) for task, score in scores.items()},
        }
        for model, scores in published.items()
    ]


def _earlier_runs(
    scores: Path, candidates: Sequence[Candidate], tasks: Sequence[Task], changed: Sequence[str]
) -> list[dict[str, Any]]:
    """The means of earlier runs of this checkout; a task counts where it was scored on the rows of today."""
    run = candidates[0].name
    revisions = {task.name: read_json(scores / run / f"{task.name}.json")["dataset_revision"] for task in tasks}
    of_today = {*changed, *(candidate.name for candidate in candidates)}
    earlier = []
    for folder in sorted(path for path in scores.iterdir() if path.is_dir()):
        if folder.name in of_today or not (scores.parent / "runs" / folder.name).is_dir():
            continue
        task_scores = {}
        for task in tasks:
            path = folder / f"{task.name}.json"
            result = read_json(path) if path.is_file() else {}
            if result.get("dataset_revision") == revisions[task.name]:
                task_scores[task.name] = score_of(task, result)
        earlier.append({"model": folder.name, "means": means_in_points(task_scores, tasks)})
    return earlier


def _paired_differences(scores: Path, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """The paired differences, task by task, of the run (or the first model) to each other model."""
    first = next((candidate for candidate in candidates if candidate.role == RUN), candidates[0])
    differences = []
    for other in candidates:
        if other is first:
            continue
        for task in tasks:
            first_items, other_items = (
                read_items(scores / candidate.name / "items" / f"{task.name}.parquet") for candidate in (first, other)
            )
            difference = paired_bootstrap(task.name, first_items, other_items)
            if difference:
                differences.append({"model": first.name, "other": other.name} | difference._asdict())
    return differences


def _contaminated_texts(removed: Sequence[str | Path], tasks: Sequence[Task]) -> dict[str, int]:
    """Task -> number of training texts that curation removed because they contain a text of that task."""
    texts: Counter[str] = Counter()
    for path in removed:
        table = read_table(path, columns=["stage", "evidence"])
        rows = zip(table["stage"].to_pylist(), table["evidence"].to_pylist(), strict=True)
        # The evidence begins with the name of the task.
        texts.update(evidence.split(" ")[0] for stage, evidence in rows if stage == CONTAMINATED and evidence)
    return {task.name: texts[task.name] for task in tasks}
