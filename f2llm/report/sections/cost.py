"""Section: time and memory of the jobs of a run."""

from collections.abc import Mapping
from typing import Any

from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, SECONDS, TEXT, ReportTable, columns
from f2llm.runs.manifests import peak_memory_of, stage_of, unit_of

# A person wants to read few lines: stages that are added to another.
ADDED_TO = {"models": "fetch", "normalise": "fetch", "embed": "mine", "tokenise": "train", "report": "evaluate"}
STAGES = ("fetch", "curate", "mine", "train", "evaluate")
LONGEST_SHOWN = 10
COSTS = (
    *columns(TEXT, "stage"),
    *columns(COUNT, "jobs"),
    *columns(SECONDS, "seconds"),
    *columns(COUNT, peak_memory_mb="peak memory (MB)"),
)
LONGEST = (
    *columns(TEXT, "rule", unit="of"),
    *columns(SECONDS, "seconds"),
    *columns(COUNT, peak_memory_mb="peak memory (MB)"),
)


def cost_section(run: ReportedRun) -> Section:
    """Time and memory of the jobs: by stage, added up, and of the longest."""
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for job in run.jobs:
        stage = stage_of(job["rule"])
        stages.setdefault(ADDED_TO.get(stage, stage), []).append(job)
    costs = [
        (stage, len(jobs), sum(job["seconds"] for job in jobs), max(map(peak_memory_of, jobs)))
        for stage in STAGES
        if (jobs := stages.get(stage))
    ]
    longest = sorted(run.jobs, key=lambda job: (-job["seconds"], job["rule"], unit_of(job)))[:LONGEST_SHOWN]
    rows = [(job["rule"], unit_of(job), job["seconds"], peak_memory_of(job)) for job in longest]
    tables = {"costs": ReportTable(COSTS, costs), "longest_jobs": ReportTable(LONGEST, rows)}
    return Section(tables, also=("results/lineage/jobs",))
