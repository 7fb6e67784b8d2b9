"""Section: every model on every task, means, and which differences may be chance."""

from collections.abc import Mapping, Sequence
from typing import Any

from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, GAIN, LONG, POINTS, TEXT, ReportTable, columns

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
    *columns(TEXT, "model", role="what"),
    *columns(POINTS, task="mean of tasks", task_type="mean of types", in_domain="in-domain"),
    *columns(POINTS, untrained="untrained (zero-shot)"),
)
DIFFERENCES = (
    *columns(TEXT, "task", "domain", other="this run less"),
    *columns(GAIN, "points", low="from", high="to"),
    *columns(COUNT, "items"),
    *columns(TEXT, verdict=""),
)
BESIDE = (
    *columns(TEXT, "model", kind="from"),
    *columns(POINTS, task="mean of tasks"),
    *columns(LONG, "reference"),
)
REAL, CHANCE = "more than chance", "may be chance"


def score_tables(summary: Mapping[str, Any]) -> dict[str, ReportTable]:
    """The tables `scores`, `score_means`, `differences` and `beside` of a scoreboard's summary."""
    models = [model["model"] for model in summary["models"]]
    score_columns = [
        *columns(TEXT, "task", "type", "domain", "metric"),
        *columns(POINTS, *models),
        *columns(GAIN, gain_over_last="gain (last)", gain_over_mean="gain (mean)"),
    ]
    rows = [
        [row["scores"].get(name) if kind == POINTS else row[name] for name, _, kind in score_columns]
        for row in sorted(summary["tasks"], key=lambda row: (row["domain"] != IN_DOMAIN, row["type"], row["task"]))
    ]
    means = [
        (
            model["model"],
            ROLES.get(model["role"], model["role"]),
            *(model["means"][column.name] for column in MEANS[2:]),
        )
        for model in summary["models"]
    ]
    return {
        "scores": ReportTable(score_columns, rows),
        "score_means": ReportTable(MEANS, means),
        "differences": ReportTable(DIFFERENCES, _differences(summary)),
        "beside": ReportTable(BESIDE, _beside(summary)),
    }


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
    tasks = [row["task"] for row in summary["tasks"]]
    bases = {model["model"]: model["role"] for model in summary["models"] if model["role"].startswith("base")}
    groups: dict[str, dict[str, tuple[float, float, float, bool]]] = {}
    for row in summary.get("differences", ()):
        if role := bases.get(row["other"]):
            group = groups.setdefault(f"over {ROLES.get(role, role)} ({row['other']})", {})
            group[row["task"]] = (row["points"], row["low"], row["high"], row["real"])
    plots = {}
    if compared := [task for task in tasks if any(task in differences for differences in groups.values())]:
        plots["differences"] = figures.differences(compared, groups, label="points of this run over its base")
    shown = {
        "not_improved": summary["tasks_not_improved"],
        "skipped": summary["tasks_skipped"],
        "not_decontaminated": [
            (row["task"], row["not_decontaminated"]) for row in summary["tasks"] if row["not_decontaminated"]
        ],
        "not_compared": sorted({*tasks} - {row["task"] for row in summary.get("differences", ())}),
    }
    also = ("results/scores/scoreboard.parquet", "mteb's own files and scores of the items beside it")
    return Section(score_tables(summary), plots, shown, also, _score_warnings(summary))


def _score_warnings(summary: Mapping[str, Any]) -> list[str]:
    tasks = {
        "Tasks that did not improve over the better pooling of the base model": list(summary["tasks_not_improved"]),
        "Not scored, since their source was skipped": summary["tasks_skipped"],
        "Scored without a number, since mteb's main score is undefined on this data": summary.get("tasks_undefined"),
    }
    for row in summary["tasks"]:
        if row["not_decontaminated"]:
            tasks.setdefault(f"Not decontaminated ({row['not_decontaminated']})", []).append(row["task"])
    tasks["The data of these tasks differs from mteb's statistics of it"] = sorted(summary.get("data_differs", ()))
    return [f"{warning}: {', '.join(names)}." for warning, names in tasks.items() if names]
