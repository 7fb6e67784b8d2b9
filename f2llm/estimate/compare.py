"""What was expected of a run beside what it took, stage by stage: a table, and a section of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.records.files import read_json
from f2llm.records.tables import read_table, write_rows
from f2llm.runs.manifests import peak_memory_of
from f2llm.runs.stages import stage_of

# What of a manifest's counts are the rows that its stage makes.
ROWS_OF_RULE = {"normalise_source": "queries_kept", "curate_source": "queries_out", "mine_source": "tuples"}
# Of what no manifest speaks: the store of fetched files, vectors, checkpoints.
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
        """Expected over truth, less one; None where the truth is nothing."""
        return self.expected / self.truth - 1 if self.truth else None


def compare_estimate(
    *, estimate: str | Path, jobs: Sequence[str | Path], results: str | Path, run: str, output: str | Path
) -> dict[str, Any]:
    """Write the table of expected and true figures of a run; return how many are within their stated error.

    `jobs` are the manifests of all its jobs. Rows are compared where a stage makes some. Of single stages only rows
    are held to the stated errors; disk, memory and time are those of the whole run.
    """
    expected = read_json(estimate)
    made = truth([read_json(path) for path in jobs], results=results, run=run)
    figures = list(compare(expected, made))
    write_rows(output, schema=SCHEMA, rows=figures)
    held = [figure for figure in figures if figure.stage == "all" or figure.figure == "rows"]
    return {"figures": len(held), "within_stated_error": sum(figure.within for figure in held)}


def read_estimate(path: str | Path) -> list[Figure]:
    """Read the table back; an empty list where there is none."""
    return [Figure(**row) for row in read_table(path).to_pylist()] if Path(path).is_file() else []


def compare(expected: Mapping[str, Any], made: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """Return the figures of each stage, and of all together."""
    stages = {stage["stage"]: stage for stage in expected["stages"]}
    names = {"rows": "rows", "disk": "disk_mb", "memory": "memory_mb", "cpu": "cpu_seconds"}
    figures = []
    for stage in stages:
        for figure, key in names.items():
            if stage in made and (figure != "rows" or made[stage]["rows"]):
                figures.append(_figure(stage, figure, stages[stage][key], made[stage][figure], expected["errors"]))
    for figure, key in names.items():
        if figure != "rows":
            together = max if figure == "memory" else sum
            ours = together([stage[key] for stage in stages.values()])
            theirs = together([stage[figure] for stage in made.values()])
            figures.append(_figure("all", figure, ours, theirs, expected["errors"]))
    return figures


def truth(manifests: Sequence[Mapping[str, Any]], *, results: str | Path, run: str) -> dict[str, dict[str, float]]:
    """Return stage -> rows, disk, memory and processor time of its jobs; a file that two stages link counts once."""
    made: dict[str, dict[str, float]] = {}
    seen: set[tuple[int, int]] = set()
    for job in manifests:
        rule = job["rule"]
        stage = made.setdefault(stage_of(rule), {"rows": 0.0, "disk": 0.0, "memory": 0.0, "cpu": 0.0})
        counts = job["counts"]
        stage["rows"] += counts.get(ROWS_OF_RULE.get(rule, ""), 0)
        stage["cpu"] += job.get("cpu_seconds", job["seconds"])
        stage["memory"] = max(stage["memory"], peak_memory_of(job))
        stage["disk"] += sum(_size(Path(path), seen) for path in job["outputs"])
    undeclared = UNDECLARED | {"train": (f"runs/{run}/checkpoints",)}
    for name, folders in undeclared.items():
        if name in made:
            made[name]["disk"] += sum(_size(Path(results, folder), seen) for folder in folders)
    return made


def _figure(stage: str, figure: str, expected: float, made: float, errors: Mapping[str, float]) -> Figure:
    error = errors[figure]
    return Figure(stage, figure, float(expected), float(made), error, abs(expected - made) <= error * made)


def _size(path: Path, seen: set[tuple[int, int]]) -> float:
    total = 0
    for file in [path] if path.is_file() else sorted(path.rglob("*")):
        if file.is_file() and not file.is_symlink():
            stat = file.stat()
            if (stat.st_dev, stat.st_ino) not in seen:
                seen.add((stat.st_dev, stat.st_ino))
                total += stat.st_size
    return total / MB
