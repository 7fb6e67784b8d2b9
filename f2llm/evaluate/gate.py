"""The gate: a run that gains too little over its base fails.

Single tasks are no gate: on 60 to 90 queries their sampling error is about 5 points. The mean is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.candidates import BASE_LAST, BASE_MEAN, RUN
from f2llm.config.evaluate import Gate
from f2llm.errors import InputError
from f2llm.evaluate.aggregate import mean
from f2llm.evaluate.scoreboard import IN_DOMAIN, UNTRAINED
from f2llm.records.files import read_json, write_json


def check_gate(summary: str | Path, *, gate: Gate, output: str | Path) -> dict[str, Any]:
    """Write the verdict on a run to `output` (gate.json) if it passes; return its figures.

    `summary` is the JSON of build_scoreboard. Means are over the tasks on which every model has a
    score; those of skipped sources are named in `tasks_skipped`, those without a number in `tasks_undefined`.

    Raises:
        InputError: the run is below its gate, or nothing was scored. `output` is then absent.
    """
    Path(output).unlink(missing_ok=True)
    board = read_json(summary)
    verdict = judge(board, gate=gate)
    if not verdict["passed"]:
        raise InputError(_failure(verdict, gate=gate, summary=summary))
    write_json(output, verdict)
    return {key: verdict[key] for key in ("mean", "gain_over_last", "gain_over_mean")}


def judge(board: Mapping[str, Any], *, gate: Gate) -> dict[str, Any]:
    """Return means, gains, thresholds and whether the run passes: a gain equal to its threshold does."""
    names = {model["role"]: model["model"] for model in board["models"]}
    scored = [task for task in board["tasks"] if None not in task["scores"].values()]
    if not scored:
        raise InputError(
            "gate: no task was scored for every model: sources were skipped (tasks_skipped in the scoreboard), or "
            "scores are no numbers (tasks_undefined); mend the sources or the tasks"
        )
    own, last, average = (_mean(scored, names[role]) for role in (RUN, BASE_LAST, BASE_MEAN))
    gains = own - last, own - average
    return {
        "run": board["run"],
        "mean": own,
        "base_last": last,
        "base_mean": average,
        "gain_over_last": gains[0],
        "gain_over_mean": gains[1],
        "thresholds": {"over_base_last": gate.over_base_last, "over_base_mean": gate.over_base_mean},
        "passed": gains[0] >= gate.over_base_last and gains[1] >= gate.over_base_mean,
        "in_domain": _part(scored, names, domain=IN_DOMAIN),
        "untrained": _part(scored, names, domain=UNTRAINED),
        "tasks": len(scored),
        "tasks_not_improved": board["tasks_not_improved"],
        "tasks_skipped": board["tasks_skipped"],
        "tasks_undefined": board["tasks_undefined"],
    }


def _mean(tasks: Sequence[Mapping[str, Any]], model: str) -> float | None:
    return mean(task["scores"][model] for task in tasks)


def _part(
    tasks: Sequence[Mapping[str, Any]], names: Mapping[str, str], *, domain: str
) -> dict[str, float | int | None]:
    inside = [task for task in tasks if task["domain"] == domain]
    figures = {"mean": RUN, "base_last": BASE_LAST, "base_mean": BASE_MEAN}
    return {"tasks": len(inside)} | {key: _mean(inside, names[role]) for key, role in figures.items()}


def _failure(verdict: Mapping[str, Any], *, gate: Gate, summary: str | Path) -> list[str]:
    below = [
        f"run {verdict['run']}: mean {verdict['mean']:.2f} over {verdict['tasks']} tasks is {gain:+.2f} points from "
        f"its base with {pooling} pooling ({base:.2f}); the gate asks for {asked:+g}"
        for pooling, base, gain, asked in (
            ("last-token", verdict["base_last"], verdict["gain_over_last"], gate.over_base_last),
            ("mean", verdict["base_mean"], verdict["gain_over_mean"], gate.over_base_mean),
        )
        if gain < asked
    ]
    tasks = ", ".join(verdict["tasks_not_improved"]) or "none"
    return [*below, f"tasks not improved: {tasks}; all scores are in {summary}, train longer or lower evaluate.gate"]
