"""The sections of the report about the run: training, scores, map, licences, cost, environment, estimate."""

from collections.abc import Mapping
from typing import Any

from f2llm.lineage import figures
from f2llm.lineage.environment import cost_tables, environment_table, mixed
from f2llm.lineage.estimate import read_estimate
from f2llm.lineage.obligations import licence_tables
from f2llm.lineage.parts import Part, Run
from f2llm.lineage.report_tables import SECONDS, SHARE, TEXT, Column, ReportTable
from f2llm.lineage.scores import ROLES, intervals, score_tables
from f2llm.lineage.similarity import Map, map_tables, read_map
from f2llm.lineage.training import LOSSES, Curve, read_training, training_tables
from f2llm.records.files import read_json

ESTIMATE = (
    Column("stage", "stage", TEXT),
    Column("figure", "figure", TEXT),
    Column("expected", "expected", SECONDS),
    Column("truth", "true", SECONDS),
    Column("off", "off by", SHARE),
    Column("stated_error", "stated error", SHARE),
)
FIGURES = {"rows": "rows", "disk": "disk, MB", "memory": "memory, MB", "cpu": "processor time, s"}


def training_section(run: Run) -> Part:
    """Return loss and speed of each source over the steps."""
    rows, lines = read_training(run.layout.of_run("metrics.parquet"), run.layout.of_run("validation.parquet"))
    plots = {
        "loss": figures.curves({one.source: _losses(one) for one in lines}, zero=True),
        "throughput": figures.curves(
            {one.source: {"tokens/s": figures.Line(one.steps, one.tokens_per_second)} for one in lines}, zero=True
        ),
    }
    also = tuple(f"results/runs/{run.layout.run}/{name}.parquet" for name in ("metrics", "validation"))
    return Part(training_tables(rows, lines), plots, {"train": run.layout.train}, also)


def scores_section(run: Run) -> Part:
    """Return every model on every task, means, and what of a difference may be chance."""
    summary = run.summary
    if summary is None:
        return Part()
    found = intervals(summary)
    tasks = [row["task"] for row in summary["tasks"]]
    named = {model["model"]: ROLES.get(model["role"], model["role"]) for model in summary["models"]}
    groups = {
        f"over {named.get(other, 'another')} ({other})": {
            one.task: (one.points, one.low, one.high, one.real) for one in own
        }
        for other, own in found.items()
        if any(model["model"] == other and model["role"].startswith("base") for model in summary["models"])
    }
    compared = [task for task in tasks if any(task in own for own in groups.values())]
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
        "not_compared": sorted(set(tasks) - {one.task for own in found.values() for one in own}),
    }
    also = ("results/scores/scoreboard.parquet", "mteb's own files and scores of the items beside it")
    return Part(score_tables(summary), plots, shown, also, _score_warnings(summary))


def map_section(run: Run) -> Part:
    """Return where the retriever puts a sample of the texts."""
    found = read_map(run.layout, gaps=run.gaps)
    if found is None:
        return Part()
    places = _places(found)
    shown = {
        "explained": found.explained,
        "groups": list(places),
        "without": [source.name for source in run.layout.sources if source.name not in places],
        "retriever": run.layout.retriever.name,
    }
    return Part(map_tables(found), {"map": figures.scatter(places, name="map")}, shown, ("results/vectors",))


def licences_section(run: Run) -> Part:
    """Return under which licences data and models are, and what these ask for."""
    layout, manifests = run.layout, {}
    for source in (*layout.sources, *run.heldout):
        with run.gaps.noting(f"{source.name}, files"):
            manifests[source.name] = read_json(layout.source(source.name) / "manifest.json")
    tables = licence_tables(
        layout.sources,
        run.heldout,
        {"backbone": layout.backbone, "retriever": layout.retriever},
        tuples={row.source: row.trained for row in run.funnel},
        manifests=manifests,
    )
    unclear = [source for source in layout.sources if source.licence.commercial != "yes"]
    warnings = [
        f"{len(unclear)} of {len(layout.sources)} sources do not clearly allow commercial use: "
        + ", ".join(f"{source.name} ({source.licence.commercial})" for source in unclear)
        + "."
    ] if unclear else []  # fmt: skip
    return Part(tables, {}, {"barred": layout.barred}, ("results/sources/*/manifest.json",), warnings)


def cost_section(run: Run) -> Part:
    """Return time and memory of the jobs."""
    return Part(cost_tables(run.jobs), also=("results/lineage/jobs",))


def environment_section(run: Run) -> Part:
    """Return versions and the kind of machine."""
    table = environment_table(run.jobs, train=run.layout.train)
    return Part({"environment": table}, also=("results/lineage/jobs",), warnings=mixed(table))


def estimate_section(run: Run) -> Part:
    """Return what was foretold before the run beside what came; nothing where nothing was foretold."""
    rows = [
        (one.stage, FIGURES[one.figure], one.expected, one.truth, one.off,
         one.stated_error if one.stage == "all" or one.figure == "rows" else None)
        for one in read_estimate(run.layout.of_run("estimate.parquet"))
    ]  # fmt: skip
    if not rows:
        return Part()
    return Part({"estimate": ReportTable(ESTIMATE, rows)}, also=(f"results/runs/{run.layout.run}/estimate.parquet",))


def _losses(curve: Curve) -> dict[str, figures.Line]:
    names = {"loss": "weighted sum", "loss_hard": "hard negatives", "loss_in_batch": "in-batch"}
    return {names[name]: figures.Line(curve.steps, curve.losses[name]) for name in LOSSES}


def _places(found: Map) -> dict[str, figures.Places]:
    groups: dict[str, figures.Places] = {}
    for point in found.points:
        own = groups.setdefault(point.source, figures.Places([], [], []))
        own.xs.append(point.x)
        own.ys.append(point.y)
        own.texts.append(f"{point.source}, {point.role}: {point.text}")
    return groups


def _score_warnings(summary: Mapping[str, Any]) -> list[str]:
    found = []
    if summary["tasks_not_improved"]:
        named = ", ".join(summary["tasks_not_improved"])
        found.append(f"Tasks that did not improve over the better pooling of the base model: {named}.")
    if summary["tasks_skipped"]:
        found.append(f"Not scored, since their source was skipped: {', '.join(summary['tasks_skipped'])}.")
    if summary.get("tasks_undefined"):
        named = ", ".join(summary["tasks_undefined"])
        found.append(f"Scored without a number, since mteb's main score is undefined on this data: {named}.")
    reasons: dict[str, list[str]] = {}
    for row in summary["tasks"]:
        if row["not_decontaminated"]:
            reasons.setdefault(row["not_decontaminated"], []).append(row["task"])
    found += [f"Not decontaminated ({reason}): {', '.join(tasks)}." for reason, tasks in reasons.items()]
    if summary.get("data_differs"):
        named = ", ".join(sorted(summary["data_differs"]))
        found.append(f"The data of these tasks differs from mteb's statistics of it: {named}.")
    return found
