"""Section: what a run ran on, versions and the kind of machine."""

from collections import Counter

from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, LONG, TEXT, ReportTable, columns
from f2llm.runs.withheld import withheld

ENVIRONMENT = (*columns(TEXT, name="what"), *columns(LONG, "value"), *columns(COUNT, "jobs"))


def environment_section(run: ReportedRun) -> Section:
    """What decided results: kind of machine, versions, processes, with the number of jobs of each value."""
    counts: Counter[tuple[str, str]] = Counter()
    for job in run.jobs:
        counts[("machine", withheld(job["platform"]))] += 1
        for name in ("device", "precision"):
            if isinstance(job["counts"].get(name), str):
                counts[(name, withheld(job["counts"][name]))] += 1
        counts.update(job["versions"].items())
    rows = [(name, value, count) for (name, value), count in counts.items()]
    first = ("machine", "device", "precision", "python")
    rows.sort(key=lambda row: (first.index(row[0]) if row[0] in first else len(first), row))
    settings = [
        (f"training {name}", str(getattr(run.layout.train, name)), None)
        for name in ("nodes", "processes", "threads", "recipe")
    ]
    # Jobs of different versions: the results are those of no single environment.
    values: dict[str, list[str]] = {}
    for name, value, _ in rows:
        values.setdefault(name, []).append(value)
    mixed = [
        f"The jobs ran with different versions of {name}: {', '.join(versions)}."
        for name, versions in values.items()
        if len(versions) > 1 and name not in ("device", "precision")
    ]
    table = ReportTable(ENVIRONMENT, [*rows, *settings])
    return Section({"environment": table}, also=("results/lineage/jobs",), warnings=mixed)
