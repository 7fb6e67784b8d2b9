"""`f2llm compare RUN RUN ...`: scores of two or more models of this checkout, task by task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.errors import InputError
from f2llm.evaluate.aggregate import mean
from f2llm.evaluate.bootstrap import paired_bootstrap, read_items
from f2llm.records.scores import Compared, points_of, read_result, rows_of, score_files

REMEDY = "delete it and run its evaluation again"


class Comparison(NamedTuple):
    """Scores of several models: rows by task and then in the order of `names`, the first being the yardstick."""

    names: tuple[str, ...]
    rows: tuple[Compared, ...]
    left_out: Mapping[str, str]  # tasks that were scored on different rows -> what differs


def read_comparison(names: Sequence[str], *, results: str | Path) -> Comparison:
    """Return the scores of all tasks that all `names` (folders of results/scores) have on the same rows.

    Raises:
        InputError: fewer than two models, one without scores, none in common, scores on other rows, or a
            file that is no result.
    """
    if len(set(names)) < 2:
        raise InputError("name at least two different runs or models")
    folders = {name: Path(results, "scores", name) for name in names}
    missing = [name for name, folder in folders.items() if not score_files(folder)]
    if missing:
        there = sorted(path.name for path in Path(results, "scores").glob("*") if path.is_dir())
        raise InputError(
            [f"{name}: has no scores below {results}/scores; there are: {', '.join(there)}" for name in missing]
        )
    common = sorted(set.intersection(*({path.stem for path in score_files(folder)} for folder in folders.values())))
    loaded = _read([(name, task) for name in names for task in common], folders)
    other = {task: why for task in common if (why := _difference([loaded[name, task] for name in names]))}
    tasks = [task for task in common if task not in other]
    if not tasks:
        raise InputError(
            f"{', '.join(names)}: no task was scored for all of them on the same rows"
            + (f": {_listed(other)}" if other else "")
            + "; run them on one benchmark"
        )
    points = {(name, task): points_of(loaded[name, task]) for name in names for task in tasks}
    rows = []
    for task in tasks:
        first = points[names[0], task]
        rows.append(Compared(task, names[0], first, None, None, None, None))
        for name in names[1:]:
            rows.append(compared(folders[names[0]], folders[name], task, first, points[name, task]))
    return Comparison(tuple(names), tuple(rows), other)


def format_comparison(found: Comparison) -> str:
    """Return a table of tasks and means.

    Behind each score but the first model's stands its difference; a star marks one that is more
    than chance (paired bootstrap, 95 %), a tilde one that may be chance.
    """
    names = found.names
    tasks = list(dict.fromkeys(row.task for row in found.rows))
    cells = {(row.model, row.task): row for row in found.rows}
    rows = [["task", names[0], *(cell for name in names[1:] for cell in (name, ""))]]
    for task in tasks:
        row = [task, _shown(cells[names[0], task].score)]
        for one in (cells[name, task] for name in names[1:]):
            mark = "" if one.real is None or one.points is None else "*" if one.real else "~"
            row += [_shown(one.score), "" if one.points is None else f"{one.points:+.2f}{mark}"]
        rows.append(row)
    means = {name: mean(cells[name, task].score for task in tasks) for name in names}
    row = [f"mean of {len(tasks)}", _shown(means[names[0]])]
    for name in names[1:]:
        row += [_shown(means[name]), _signed(means[names[0]], means[name])]
    rows.append(row)
    notes = [f"not compared, since scored on different rows: {_listed(found.left_out)}"] if found.left_out else []
    return "\n".join([table_of(rows), "* more than chance, ~ may be chance (paired bootstrap, 95 %)", *notes])


def compared(yardstick: Path, folder: Path, task: str, one: float | None, two: float | None) -> Compared:
    """Return what the model scored in `folder` differs by from that of `yardstick` on a task; `one`, `two`: points."""
    points = None if one is None or two is None else two - one
    first, second = (each / "items" / f"{task}.parquet" for each in (yardstick, folder))
    found = None
    if points is not None and first.is_file() and second.is_file():
        found = paired_bootstrap(task, read_items(second), read_items(first))
    interval = (None, None, None) if found is None else (found.low, found.high, found.real)
    return Compared(task, folder.name, two, points, *interval)


def _read(wanted: Sequence[tuple[str, str]], folders: Mapping[str, Path]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return (model, task) -> result."""
    found, faults = {}, []
    for name, task in wanted:
        path = folders[name] / f"{task}.json"
        try:
            found[name, task] = read_result(path, remedy=REMEDY)
        except InputError as error:
            faults += error.faults
            continue
        if not isinstance(found[name, task].get("dataset_revision"), str):
            faults.append(f"{path}: does not say of which data (`dataset_revision`); {REMEDY}")
    if faults:
        raise InputError(faults)
    return found


def _difference(results: Sequence[Mapping[str, Any]]) -> str:
    """Return how the rows of some results of one task differ, or nothing."""
    if len({one["dataset_revision"] for one in results}) > 1:
        return "another revision of the data"
    if len({rows_of(one) for one in results}) > 1:
        return "other splits or subsets"
    return "other data" if len({one["data_sha256"] for one in results if one.get("data_sha256")}) > 1 else ""


def _listed(left_out: Mapping[str, str]) -> str:
    return ", ".join(f"{task} ({why})" for task, why in left_out.items())


def _shown(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"


def _signed(one: float | None, two: float | None) -> str:
    return "" if one is None or two is None else f"{two - one:+.2f}"


def table_of(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines, all columns but the first to the right."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )
