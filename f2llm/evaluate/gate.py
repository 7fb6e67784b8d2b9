"""The gate: a run whose mean gains too little over its base fails.

Single tasks are not judged: on 60 to 90 queries their sampling error is about 5 points.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.candidates import BASE_LAST, BASE_MEAN, RUN
from f2llm.config.evaluate import Gate
from f2llm.evaluate.aggregate import mean
from f2llm.evaluate.scoreboard import IN_DOMAIN, UNTRAINED
from f2llm.records.errors import InputError
from f2llm.records.files import read_json
from f2llm.records.schemas.evaluate import GateVerdict
from f2llm.records.schemas.sources import SkippedSources

logger = logging.getLogger(__name__)


def check_gate(summary: str | Path, *, gate: Gate, skipped: SkippedSources, output: str | Path) -> dict[str, Any]:
    """Write the verdict on a run to `output` (gate.json) if it passes; return its mean and gains in points.

    `summary` is scores/scoreboard.json. The verdict names the sources that the run went on without, `skipped`; they do
    not decide it.

    Raises:
        InputError: the run is below its gate, or nothing was scored. `output` is then absent.
    """
    Path(output).unlink(missing_ok=True)
    for line in skipped.lines():
        logger.warning(line)
    verdict = judge(read_json(summary), gate=gate)._replace(sources_skipped=skipped)
    if not verdict.passed:
        raise InputError(_failure(verdict, gate=gate, summary=summary))
    verdict.write(output)
    return {
        "mean": verdict.mean,
        "gain_over_last": verdict.gain_over_last,
        "gain_over_mean": verdict.gain_over_mean,
        "sources_skipped": [source.source for source in skipped.sources],
    }


def judge(board: Mapping[str, Any], *, gate: Gate) -> GateVerdict:
    """The verdict on the run of a scoreboard's summary; a gain equal to its threshold passes.

    Raises:
        InputError: no task has a score of every model.
    """
    models = {model["role"]: model["model"] for model in board["models"]}
    scored = [task for task in board["tasks"] if None not in task["scores"].values()]
    if not scored:
        raise InputError(
            "gate: no task was scored for every model: sources were skipped (tasks_skipped in the scoreboard), or "
            "scores are no numbers (tasks_undefined); mend the sources or the tasks"
        )
    run, base_last, base_mean = (_mean(scored, models[role]) for role in (RUN, BASE_LAST, BASE_MEAN))
    return GateVerdict(
        run=board["run"],
        mean=run,
        base_last=base_last,
        base_mean=base_mean,
        gain_over_last=run - base_last,
        gain_over_mean=run - base_mean,
        thresholds={"over_base_last": gate.over_base_last, "over_base_mean": gate.over_base_mean},
        passed=run - base_last >= gate.over_base_last and run - base_mean >= gate.over_base_mean,
        in_domain=_means_within(IN_DOMAIN, scored, models),
        untrained=_means_within(UNTRAINED, scored, models),
        tasks=len(scored),
        tasks_not_improved=board["tasks_not_improved"],
        tasks_skipped=board["tasks_skipped"],
        tasks_undefined=board["tasks_undefined"],
    )


def _mean(tasks: Sequence[Mapping[str, Any]], model: str) -> float | None:
    return mean(task["scores"][model] for task in tasks)


def _means_within(
    domain: str, tasks: Sequence[Mapping[str, Any]], models: Mapping[str, str]
) -> dict[str, float | int | None]:
    inside = [task for task in tasks if task["domain"] == domain]
    roles = {"mean": RUN, "base_last": BASE_LAST, "base_mean": BASE_MEAN}
    return {"tasks": len(inside)} | {key: _mean(inside, models[role]) for key, role in roles.items()}


def _failure(verdict: GateVerdict, *, gate: Gate, summary: str | Path) -> list[str]:
    below = [
        f"run {verdict.run}: mean {verdict.mean:.2f} over {verdict.tasks} tasks is {gain:+.2f} points from "
        f"its base with {pooling} pooling ({base:.2f}); the gate asks for {least:+g}"
        for pooling, base, gain, least in (
            ("last-token", verdict.base_last, verdict.gain_over_last, gate.over_base_last),
            ("mean", verdict.base_mean, verdict.gain_over_mean, gate.over_base_mean),
        )
        if gain < least
    ]
    tasks = ", ".join(verdict.tasks_not_improved) or "none"
    lost = verdict.sources_skipped.summary()
    return [
        *below,
        *([f"{lost}; mend them, since the run had less to learn from"] if lost else []),
        f"tasks not improved: {tasks}; all scores are in {summary}, train longer or lower evaluate.gate",
    ]
