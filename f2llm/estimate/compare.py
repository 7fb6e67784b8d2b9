"""Expected figures of a run beside the true ones, stage by stage: the table that a section of the report shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.records.files import read_json
from f2llm.records.tables import read_table, write_rows
from f2llm.runs.manifests import peak_memory_of, read_content, stage_of

# The count of a manifest that says how many rows its stage makes.
ROWS_OF_RULE = {"normalise_source": "queries_kept", "curate_source": "queries_out", "mine_source": "tuples"}
# Files that no manifest names: the store of fetched files, vectors, checkpoints.
UNDECLARED = {"fetch": (".cache/fetched",), "embed": ("vectors/store",), "evaluate": ("vectors/evaluation",)}
MB = 1e6
SCHEMA = pa.schema(
    [("stage", pa.string()), ("figure", pa.string()), ("expected", pa.float64()), ("truth", pa.float64()),
     ("stated_error", pa.float64()), ("within", pa.bool_())]
)  # fmt: skip


class Figure(NamedTuple):
    """One figure of a stage, or of the whole run ("all"): disk and memory in MB, cpu in seconds."""

    stage: str
    figure: str  # rows | disk | memory | cpu
    expected: float
    truth: float
    stated_error: float  # share of the truth
    within: bool

    @property
    def off(self) -> float | None:
        """Expected over truth, less one; None where the truth is zero."""
        return self.expected / self.truth - 1 if self.truth else None


def compare_estimate(
    *, estimate: str | Path, jobs: Sequence[str | Path], results: str | Path, run: str, output: str | Path
) -> dict[str, Any]:
    """Write the table of expected and true figures of a run; count those within their stated error.

    `jobs` are the manifests of all its jobs. Rows are compared where a stage makes some. The stated errors hold for
    the rows of single stages, and for disk, memory and time of the whole run.
    """
    expected = read_json(estimate)
    true = truth([read_content(path) for path in jobs], results=results, run=run)
    figures = compare(expected, true)
    write_rows(output, schema=SCHEMA, rows=figures)
    held = [figure for figure in figures if figure.stage == "all" or figure.figure == "rows"]
    return {"figures": len(held), "within_stated_error": sum(figure.within for figure in held)}


def read_estimate(path: str | Path) -> list[Figure]:
    """The table as it was written; an empty list where there is none."""
    return [Figure(**row) for row in read_table(path).to_pylist()] if Path(path).is_file() else []


def compare(expected: Mapping[str, Any], true: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """Figures of each stage, and of all together, from an estimate's file and what `truth` added up."""
    stages = {stage["stage"]: stage for stage in expected["stages"]}
    names = {"rows": "rows", "disk": "disk_mb", "memory": "memory_mb", "cpu": "cpu_seconds"}
    figures = []
    for stage in stages:
        for figure, key in names.items():
            if stage in true and (figure != "rows" or true[stage]["rows"]):
                figures.append(_figure(stage, figure, stages[stage][key], true[stage][figure], expected["errors"]))
    for figure, key in names.items():
        if figure != "rows":
            together = max if figure == "memory" else sum
            expected_all = together([stage[key] for stage in stages.values()])
            true_all = together([stage[figure] for stage in true.values()])
            figures.append(_figure("all", figure, expected_all, true_all, expected["errors"]))
    return figures


def truth(manifests: Sequence[Mapping[str, Any]], *, results: str | Path, run: str) -> dict[str, dict[str, float]]:
    """Stage -> rows, disk, memory and processor time of its jobs; a file that two stages link counts once."""
    stages: dict[str, dict[str, float]] = {}
    seen: set[tuple[int, int]] = set()
    for job in manifests:
        rule = job["rule"]
        stage = stages.setdefault(stage_of(rule), {"rows": 0.0, "disk": 0.0, "memory": 0.0, "cpu": 0.0})
        counts = job["counts"]
        stage["rows"] += counts.get(ROWS_OF_RULE.get(rule, ""), 0)
        stage["cpu"] += job.get("cpu_seconds", job["seconds"])
        stage["memory"] = max(stage["memory"], peak_memory_of(job))
        stage["disk"] += sum(_size(Path(path), seen) for path in job["outputs"])
    undeclared = UNDECLARED | {"train": (f"runs/{run}/checkpoints",)}
    for name, folders in undeclared.items():
        if name in stages:
            stages[name]["disk"] += sum(_size(Path(results, folder), seen) for folder in folders)
    return stages


def _figure(stage: str, figure: str, expected: float, true: float, errors: Mapping[str, float]) -> Figure:
    error = errors[figure]
    return Figure(stage, figure, float(expected), float(true), error, abs(expected - true) <= error * true)


def _size(path: Path, seen: set[tuple[int, int]]) -> float:
    total = 0
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file() and not file.is_symlink():
            stat = file.stat()
            if (stat.st_dev, stat.st_ino) not in seen:
                seen.add((stat.st_dev, stat.st_ino))
                total += stat.st_size
    return total / MB
