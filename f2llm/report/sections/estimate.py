"""The sections of the report about the run: training, scores, map, licences, cost, environment, estimate."""

from f2llm.estimate.compare import read_estimate
from f2llm.report.parts import Part, Run
from f2llm.report.tables import SECONDS, SHARE, TEXT, Column, ReportTable

ESTIMATE = (
    Column("stage", "stage", TEXT),
    Column("figure", "figure", TEXT),
    Column("expected", "expected", SECONDS),
    Column("truth", "true", SECONDS),
    Column("off", "off by", SHARE),
    Column("stated_error", "stated error", SHARE),
)
FIGURES = {"rows": "rows", "disk": "disk, MB", "memory": "memory, MB", "cpu": "processor time, s"}


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
