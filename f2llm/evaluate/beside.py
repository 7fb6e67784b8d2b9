"""What stands beside the scores of a run: papers, leaderboards, earlier runs, chance, contamination, cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Benchmark, Task
from f2llm.config.candidates import RUN, Candidate
from f2llm.evaluate.aggregate import borda, means, splits_of, subsets_of, task_score, whole_of, whole_scores
from f2llm.evaluate.bootstrap import paired_bootstrap, read_items
from f2llm.evaluate.published import all_published_scores
from f2llm.evaluate.scoreboard import Decontamination, build_scoreboard
from f2llm.evaluate.tasks.offline import offline
from f2llm.records.files import read_json, write_json
from f2llm.records.tables import read_table
from f2llm.runs.manifests import read_content


@dataclass(frozen=True, kw_only=True)
class Board:
    """What a scoreboard is made of besides results."""

    tasks: tuple[Task, ...]
    trained: tuple[str, ...]  # sources
    datasets: tuple[str, ...]  # mteb's names of what they are made of
    declared: tuple[str, ...]  # tasks whose train split a source says it holds
    off: tuple[str, ...]  # sources in which evaluation texts were not looked for
    report: tuple[str, ...]  # sources in which they were counted only
    benchmark: Benchmark
    leaderboard: str  # folder of published results, or empty


CONTAMINATED = "decontaminate"  # stage of a row of removed.parquet


def build_board(
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
    """Write scoreboard, summary, and what each job took; return counts.

    `scores` are the result files {candidate}/{task}.json, `manifests` those of the jobs that made them,
    `index` the index of evaluation texts that curation looked for, if there was any, `changed` the runs of the same
    workflow, which are no earlier ones.

    Raises:
        InputError: results are missing or of other rows, or the leaderboard's folder cannot be read.
    """
    with offline("results/.cache"):
        seen = in_domain(board.datasets, board.tasks)
        extras = beside(
            candidates, board.tasks, benchmark=board.benchmark, scores=Path(scores[0]).parents[1],
            leaderboard=board.leaderboard, removed=removed, checked=checked, changed=changed,
        )  # fmt: skip
    write_json(costs, cost_of(manifests))
    missing = [task for folder in index for task in read_json(Path(folder, "index.json"))["missing"]]
    return build_scoreboard(
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


def in_domain(datasets: Sequence[str], tasks: Sequence[Task]) -> list[str]:
    """Return the tasks of mteb that are no zero-shot task for a model trained on `datasets` (mteb's names).

    mteb counts a task as seen when it, or one that mteb holds to be similar to it in either direction, was trained on.
    """
    named = {task.name for task in tasks if task.mteb}
    if not datasets or not named:
        return []
    from mteb.models.model_meta import ModelMeta

    meta = ModelMeta.create_empty(
        overwrites={"name": "f2llm/run", "revision": "none", "training_datasets": set(datasets)}
    )
    return sorted(named & meta.get_training_datasets())


def beside(
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    *,
    benchmark: Benchmark,
    scores: str | Path,
    leaderboard: str,
    removed: Sequence[str | Path],
    checked: Sequence[str | Path],
    changed: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what the summary of the scoreboard says beside the scores themselves.

    `scores` is the folder with the results of this checkout, also of earlier runs, and of those `changed`
    from this one; `leaderboard` a folder of published results, or empty; `removed` are the tables of what curation
    removed; `checked` the verdicts on the data of mteb's tasks.
    """
    whole = {task.name for task in benchmark.tasks} == {task.name for task in tasks}
    verdicts = [read_json(path) for path in checked]
    return {
        "paper": [
            {"model": one.model, "reference": one.reference, "mean": one.mean, "types": one.types}
            for one in (benchmark.published if whole else ())
        ],
        "published": _published(leaderboard, tasks) if leaderboard else [],
        "earlier_runs": _earlier(Path(scores), candidates, tasks, changed),
        "differences": _chance(Path(scores), candidates, tasks),
        "contaminated": _contaminated(removed, tasks),
        "data_differs": {one["task"]: len(one["differences"]) for one in verdicts if one["differences"]},
    }


def cost_of(manifests: Sequence[str | Path]) -> dict[str, Any]:
    """Return what each evaluation job took: seconds by task, texts encoded, memory; from the jobs' manifests."""
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


def summary_of(scores: Mapping[str, float | None], tasks: Sequence[Task]) -> dict[str, Any]:
    """Return the means of one model in points, four decimals; `scores` are 0..1."""
    found = means(whole_scores(scores, tasks), {whole_of(task): task.type_name for task in tasks})
    return {"task": _in_points(found.task), "task_type": _in_points(found.task_type),
            "types": {name: _in_points(score) for name, score in found.types.items()}}  # fmt: skip


def _in_points(score: float | None) -> float | None:
    return None if score is None else round(100 * score, 4)


def _published(folder: str, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    scores = all_published_scores(folder, tasks)
    whole = {name: whole_scores(found, tasks) for name, found in scores.items()}
    ranks = borda(whole, list(dict.fromkeys(map(whole_of, tasks))))
    return [
        {"model": name, "means": summary_of(found, tasks), "borda_rank": ranks.get(name, (None,))[0],
         "scores": {task: _in_points(score) for task, score in found.items()}}
        for name, found in scores.items()
    ]  # fmt: skip


def _earlier(
    scores: Path, candidates: Sequence[Candidate], tasks: Sequence[Task], changed: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the means of earlier runs of this checkout that were scored on the same rows."""
    own = candidates[0].name
    now = {task.name: read_json(scores / own / f"{task.name}.json")["dataset_revision"] for task in tasks}
    found, others = [], {*changed, *(one.name for one in candidates)}
    for folder in sorted(path for path in scores.iterdir() if path.is_dir()):
        if folder.name in others or not (scores.parent / "runs" / folder.name).is_dir():
            continue
        points = {}
        for task in tasks:
            path = folder / f"{task.name}.json"
            result = read_json(path) if path.is_file() else {}
            if result.get("dataset_revision") == now[task.name]:
                points[task.name] = task_score(result, splits=splits_of(task), subsets=subsets_of(task))
        found.append({"model": folder.name, "means": summary_of(points, tasks)})
    return found


def _chance(scores: Path, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return the paired differences of the run, or the first model, to each other model."""
    first = next((one for one in candidates if one.role == RUN), candidates[0])
    found = []
    for other in candidates:
        if other is first:
            continue
        for task in tasks:
            one, two = (read_items(scores / c.name / "items" / f"{task.name}.parquet") for c in (first, other))
            difference = paired_bootstrap(task.name, one, two)
            if difference:
                found.append({"model": first.name, "other": other.name} | difference._asdict())
    return found


def _contaminated(removed: Sequence[str | Path], tasks: Sequence[Task]) -> dict[str, int]:
    """Return task -> training texts that curation removed because they contain one of its texts."""
    found: Counter[str] = Counter()
    for path in removed:
        table = read_table(path, columns=["stage", "evidence"])
        pairs = zip(table["stage"].to_pylist(), table["evidence"].to_pylist(), strict=True)
        found.update(evidence.split(" ")[0] for stage, evidence in pairs if stage == CONTAMINATED and evidence)
    return {task.name: found[task.name] for task in tasks}
