"""What a run took and what it ran on: time and memory of its jobs, versions, the kind of machine."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from f2llm.config.train import Train
from f2llm.report.parts import Part, Run
from f2llm.report.tables import COUNT, LONG, SECONDS, TEXT, Column, ReportTable
from f2llm.runs.manifests import peak_memory_of, unit_of
from f2llm.runs.stages import stage_of
from f2llm.runs.withheld import withheld

# Of a report a person wants to read few lines: stages that are told with another.
TOLD_WITH = {"models": "fetch", "normalise": "fetch", "embed": "mine", "tokenise": "train", "report": "evaluate"}
STAGES = ("fetch", "curate", "mine", "train", "evaluate")
LONGEST_SHOWN = 10
COSTS = (
    Column("stage", "stage", TEXT),
    Column("jobs", "jobs", COUNT),
    Column("seconds", "seconds", SECONDS),
    Column("peak_memory_mb", "peak memory (MB)", COUNT),
)
LONGEST = (
    Column("rule", "rule", TEXT),
    Column("unit", "of", TEXT),
    Column("seconds", "seconds", SECONDS),
    Column("peak_memory_mb", "peak memory (MB)", COUNT),
)
ENVIRONMENT = (Column("name", "what", TEXT), Column("value", "value", LONG), Column("jobs", "jobs", COUNT))


def cost_tables(jobs: Sequence[Mapping[str, Any]]) -> dict[str, ReportTable]:
    """Return the tables `costs` (by stage, jobs added up) and `longest_jobs`."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for job in jobs:
        stage = stage_of(job["rule"])
        stages.setdefault(TOLD_WITH.get(stage, stage), []).append(job)
    costs = [
        (
            stage,
            len(stages[stage]),
            sum(job["seconds"] for job in stages[stage]),
            max(map(peak_memory_of, stages[stage])),
        )
        for stage in STAGES
        if stage in stages
    ]
    longest = sorted(jobs, key=lambda job: (-job["seconds"], job["rule"], unit_of(job)))[:LONGEST_SHOWN]
    rows = [(job["rule"], unit_of(job), job["seconds"], peak_memory_of(job)) for job in longest]
    return {"costs": ReportTable(COSTS, costs), "longest_jobs": ReportTable(LONGEST, rows)}


def environment_table(jobs: Sequence[Mapping[str, Any]], *, train: Train) -> ReportTable:
    """Return what decided results: kind of machine, versions, processes, with the number of jobs of each value."""
    found: Counter[tuple[str, str]] = Counter()
    for job in jobs:
        found[("machine", withheld(job["platform"]))] += 1
        for name in ("device", "precision"):
            if isinstance(job["counts"].get(name), str):
                found[(name, withheld(job["counts"][name]))] += 1
        found.update(job["versions"].items())
    rows = [(name, value, count) for (name, value), count in found.items()]
    first = ("machine", "device", "precision", "python")
    rows.sort(key=lambda row: (first.index(row[0]) if row[0] in first else len(first), row))
    settings = [
        (f"training {name}", str(getattr(train, name)), None) for name in ("nodes", "processes", "threads", "recipe")
    ]
    return ReportTable(ENVIRONMENT, [*rows, *settings])


def mixed(table: ReportTable) -> list[str]:
    """Return what several jobs of a run had differently, in words: its results are those of no one environment."""
    values: dict[str, list[str]] = {}
    for name, value, _ in table.rows:
        values.setdefault(name, []).append(value)
    several = {name: found for name, found in values.items() if len(found) > 1 and name not in ("device", "precision")}
    return [f"The jobs ran with different versions of {name}: {', '.join(found)}." for name, found in several.items()]


def cost_section(run: Run) -> Part:
    """Return time and memory of the jobs."""
    return Part(cost_tables(run.jobs), also=("results/lineage/jobs",))


def environment_section(run: Run) -> Part:
    """Return versions and the kind of machine."""
    table = environment_table(run.jobs, train=run.layout.train)
    return Part({"environment": table}, also=("results/lineage/jobs",), warnings=mixed(table))
