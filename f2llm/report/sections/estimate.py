"""Section: what was expected before the first job beside what came."""

from f2llm.estimate.compare import read_estimate
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import SECONDS, SHARE, TEXT, ReportTable, columns

ESTIMATE = (
    *columns(TEXT, "stage", "figure"),
    *columns(SECONDS, "expected", truth="true"),
    *columns(SHARE, off="off by", stated_error="stated error"),
)
FIGURES = {"rows": "rows", "disk": "disk, MB", "memory": "memory, MB", "cpu": "processor time, s"}


def estimate_section(run: ReportedRun) -> Section:
    """What was expected before the run beside what came; nothing where nothing was."""
    rows = [
        (row.stage, FIGURES[row.figure], row.expected, row.truth, row.off,
         row.stated_error if row.stage == "all" or row.figure == "rows" else None)
        for row in read_estimate(run.layout.of_run("estimate.parquet"))
    ]  # fmt: skip
    if not rows:
        return Section()
    return Section({"estimate": ReportTable(ESTIMATE, rows)}, also=(f"results/runs/{run.layout.run}/estimate.parquet",))
