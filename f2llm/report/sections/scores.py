"""Section: every model on every task, means, and which differences may be chance."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, GAIN, LONG, POINTS, TEXT, Column, ReportTable

IN_DOMAIN = "in-domain"
ROLES = {
    "run": "this run",
    "base_last": "base, last token",
    "base_mean": "base, mean of tokens",
    "ceiling": "retriever",
    "other": "also scored",
    "cut": "cut vectors",
}
MEANS = (
    Column("model", "model", TEXT),
    Column("role", "what", TEXT),
    Column("task", "mean of tasks", POINTS),
    Column("task_type", "mean of types", POINTS),
    Column("in_domain", "in-domain", POINTS),
    Column("untrained", "untrained (zero-shot)", POINTS),
)
DIFFERENCES = (
    Column("task", "task", TEXT),
    Column("domain", "domain", TEXT),
    Column("other", "this run less", TEXT),
    Column("points", "points", GAIN),
    Column("low", "from", GAIN),
    Column("high", "to", GAIN),
    Column("items", "items", COUNT),
    Column("verdict", "", TEXT),
)
BESIDE = (
    Column("model", "model", TEXT),
    Column("kind", "from", TEXT),
    Column("task", "mean of tasks", POINTS),
    Column("reference", "reference", LONG),
)
REAL, CHANCE = "more than chance", "may be chance"


class Interval(NamedTuple):
    """A difference of this run to another model on one task, with its 95 % interval, in points."""

    task: str
    points: float
    low: float
    high: float
    real: bool


def score_tables(summary: Mapping[str, Any]) -> dict[str, ReportTable]:
    """The tables `scores`, `score_means`, `differences` and `beside` of a scoreboard's summary."""
    models = [model["model"] for model in summary["models"]]
    columns = [
        Column("task", "task", TEXT),
        Column("type", "type", TEXT),
        Column("domain", "domain", TEXT),
        Column("metric", "metric", TEXT),
        *(Column(model, model, POINTS) for model in models),
        Column("gain_over_last", "gain (last)", GAIN),
        Column("gain_over_mean", "gain (mean)", GAIN),
    ]
    rows = [
        (
            row["task"], row["type"], row["domain"], row["metric"],
            *(row["scores"].get(model) for model in models), row["gain_over_last"], row["gain_over_mean"],
        )
        for row in sorted(summary["tasks"], key=lambda row: (row["domain"] != IN_DOMAIN, row["type"], row["task"]))
    ]  # fmt: skip
    means = [
        (
            model["model"],
            ROLES.get(model["role"], model["role"]),
            *(model["means"][column.name] for column in MEANS[2:]),
        )
        for model in summary["models"]
    ]
    return {
        "scores": ReportTable(columns, rows),
        "score_means": ReportTable(MEANS, means),
        "differences": ReportTable(DIFFERENCES, _differences(summary)),
        "beside": ReportTable(BESIDE, _beside(summary)),
    }


def intervals(summary: Mapping[str, Any]) -> dict[str, list[Interval]]:
    """How far this run is above each other model, by model and in the order of the tasks."""
    by_model: dict[str, list[Interval]] = {}
    for row in summary.get("differences", ()):
        interval = Interval(row["task"], row["points"], row["low"], row["high"], row["real"])
        by_model.setdefault(row["other"], []).append(interval)
    return by_model


def means_of(summary: Mapping[str, Any], role: str) -> Mapping[str, float | None]:
    """The means of the model of a role; empty where none has it."""
    return next((model["means"] for model in summary["models"] if model["role"] == role), {})


def _differences(summary: Mapping[str, Any]) -> list[tuple]:
    domains = {row["task"]: row["domain"] for row in summary["tasks"]}
    return [
        (row["task"], domains.get(row["task"], ""), row["other"], row["points"], row["low"], row["high"], row["items"],
         REAL if row["real"] else CHANCE)
        for row in summary.get("differences", ())
    ]  # fmt: skip


def _beside(summary: Mapping[str, Any]) -> Sequence[tuple]:
    kinds = (("published", "the leaderboard"), ("earlier_runs", "an earlier run here"))
    rows = [(model["model"], "a paper", model["mean"], model["reference"]) for model in summary.get("paper", ())]
    return rows + [
        (model["model"], kind, model["means"]["task"], "") for key, kind in kinds for model in summary.get(key, ())
    ]


def scores_section(run: ReportedRun) -> Section:
    """Every model on every task, means, and which differences may be chance."""
    summary = run.summary
    if summary is None:
        return Section()
    by_model = intervals(summary)
    tasks = [row["task"] for row in summary["tasks"]]
    named = {model["model"]: ROLES.get(model["role"], model["role"]) for model in summary["models"]}
    groups = {
        f"over {named.get(other, 'another')} ({other})": {
            interval.task: (interval.points, interval.low, interval.high, interval.real) for interval in differences
        }
        for other, differences in by_model.items()
        if any(model["model"] == other and model["role"].startswith("base") for model in summary["models"])
    }
    compared = [task for task in tasks if any(task in differences for differences in groups.values())]
    plots = (
        {"differences": figures.differences(compared, groups, label="points of this run over its base")}
        if compared
        else {}
    )
    shown = {
        "not_improved": summary["tasks_not_improved"],
        "skipped": summary["tasks_skipped"],
        "not_decontaminated": [
            (row["task"], row["not_decontaminated"]) for row in summary["tasks"] if row["not_decontaminated"]
        ],
        "not_compared": sorted(
            set(tasks).difference(*({interval.task for interval in rows} for rows in by_model.values()))
        ),
    }
    also = ("results/scores/scoreboard.parquet", "mteb's own files and scores of the items beside it")
    return Section(score_tables(summary), plots, shown, also, _score_warnings(summary))


def _score_warnings(summary: Mapping[str, Any]) -> list[str]:
    warnings = []
    if summary["tasks_not_improved"]:
        named = ", ".join(summary["tasks_not_improved"])
        warnings.append(f"Tasks that did not improve over the better pooling of the base model: {named}.")
    if summary["tasks_skipped"]:
        warnings.append(f"Not scored, since their source was skipped: {', '.join(summary['tasks_skipped'])}.")
    if summary.get("tasks_undefined"):
        named = ", ".join(summary["tasks_undefined"])
        warnings.append(f"Scored without a number, since mteb's main score is undefined on this data: {named}.")
    reasons: dict[str, list[str]] = {}
    for row in summary["tasks"]:
        if row["not_decontaminated"]:
            reasons.setdefault(row["not_decontaminated"], []).append(row["task"])
    warnings += [f"Not decontaminated ({reason}): {', '.join(tasks)}." for reason, tasks in reasons.items()]
    if summary.get("data_differs"):
        named = ", ".join(sorted(summary["data_differs"]))
        warnings.append(f"The data of these tasks differs from mteb's statistics of it: {named}.")
    return warnings
