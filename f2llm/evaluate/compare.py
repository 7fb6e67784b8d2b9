"""`f2llm compare RUN RUN ...`: scores of two or more models of this checkout, task by task."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.evaluate.aggregate import mean
from f2llm.evaluate.bootstrap import paired_bootstrap, read_items
from f2llm.records.errors import InputError
from f2llm.records.scores import Compared, points_of, read_result, rows_of, score_files

REMEDY = "delete it and run its evaluation again"


class ModelComparison(NamedTuple):
    """Scores of several models: rows by task, then in the order of `names`; differences are to the first of them."""

    names: tuple[str, ...]
    rows: tuple[Compared, ...]
    left_out: Mapping[str, str]  # task that was scored on different rows -> what differs


def read_comparison(names: Sequence[str], *, results: str | Path) -> ModelComparison:
    """The scores of all tasks that all `names` (folders of results/scores) have on the same rows.

    Raises:
        InputError: fewer than two models, one without scores, none in common, scores on other rows, or a
            file that is no result.
    """
    if len(set(names)) < 2:
        raise InputError("name at least two different runs or models")
    folders = {name: Path(results, "scores", name) for name in names}
    missing = [name for name, folder in folders.items() if not score_files(folder)]
    if missing:
        known = ", ".join(sorted(path.name for path in Path(results, "scores").glob("*") if path.is_dir()))
        raise InputError([f"{name}: has no scores below {results}/scores; there are: {known}" for name in missing])
    common = sorted(set.intersection(*({path.stem for path in score_files(folder)} for folder in folders.values())))
    loaded = _read([(name, task) for name in names for task in common], folders)
    differing = {task: _difference_of_data([loaded[name, task] for name in names]) for task in common}
    left_out = {task: difference for task, difference in differing.items() if difference}
    tasks = [task for task in common if task not in left_out]
    if not tasks:
        raise InputError(
            f"{', '.join(names)}: no task was scored for all of them on the same rows"
            + (f": {_listed(left_out)}" if left_out else "")
            + "; run them on one benchmark"
        )
    points = {(name, task): points_of(loaded[name, task]) for name in names for task in tasks}
    rows = []
    for task in tasks:
        first = points[names[0], task]
        rows.append(Compared(task, names[0], first, None, None, None, None))
        for name in names[1:]:
            rows.append(compared(task, folders[names[0]], folders[name], before=first, after=points[name, task]))
    return ModelComparison(tuple(names), tuple(rows), left_out)


def format_comparison(comparison: ModelComparison) -> str:
    """A table of tasks and means for a person.

    Behind each score but the first model's stands its difference to that; a star marks one that is more than chance
    (paired bootstrap, 95 %), a tilde one that may be chance.
    """
    names = comparison.names
    tasks = list(dict.fromkeys(row.task for row in comparison.rows))
    cells = {(row.model, row.task): row for row in comparison.rows}
    means = {name: mean(cells[name, task].score for task in tasks) for name in names}
    last = f"mean of {len(tasks)}"
    for name in names:
        difference = None if None in (means[names[0]], means[name]) else means[name] - means[names[0]]
        cells[name, last] = Compared(last, name, means[name], difference, None, None, None)
    rows = [["task", names[0], *(cell for name in names[1:] for cell in (name, ""))]]
    for task in (*tasks, last):
        row = [task, _shown(cells[names[0], task].score)]
        for cell in (cells[name, task] for name in names[1:]):
            mark = "" if cell.real is None else "*" if cell.real else "~"
            row += [_shown(cell.score), "" if cell.points is None else f"{cell.points:+.2f}{mark}"]
        rows.append(row)
    notes = (
        [f"not compared, since scored on different rows: {_listed(comparison.left_out)}"] if comparison.left_out else []
    )
    return "\n".join([table_of(rows), "* more than chance, ~ may be chance (paired bootstrap, 95 %)", *notes])


def compared(task: str, first: Path, second: Path, *, before: float | None, after: float | None) -> Compared:
    """How the model scored in the folder `second` differs on a task from that of `first`.

    `before` and `after` are their scores in points. The interval is that of their items, where both have some.
    """
    points = None if before is None or after is None else after - before
    first_items, second_items = (folder / "items" / f"{task}.parquet" for folder in (first, second))
    difference = None
    if points is not None and first_items.is_file() and second_items.is_file():
        difference = paired_bootstrap(task, read_items(second_items), read_items(first_items))
    interval = (None, None, None) if difference is None else (difference.low, difference.high, difference.real)
    return Compared(task, second.name, after, points, *interval)


def _read(wanted: Sequence[tuple[str, str]], folders: Mapping[str, Path]) -> dict[tuple[str, str], dict[str, Any]]:
    """(model, task) -> result; all faults of the files are raised at once."""
    results, faults = {}, []
    for name, task in wanted:
        path = folders[name] / f"{task}.json"
        try:
            results[name, task] = read_result(path, remedy=REMEDY)
        except InputError as error:
            faults += error.faults
            continue
        if not isinstance(results[name, task].get("dataset_revision"), str):
            faults.append(f"{path}: does not say of which data (`dataset_revision`); {REMEDY}")
    if faults:
        raise InputError(faults)
    return results


def _difference_of_data(results: Sequence[Mapping[str, Any]]) -> str:
    """How the data differ on which some results of one task were scored; "" if they do not."""
    if len({result["dataset_revision"] for result in results}) > 1:
        return "another revision of the data"
    if len({rows_of(result) for result in results}) > 1:
        return "other splits or subsets"
    return "other data" if len({sha256 for result in results if (sha256 := result.get("data_sha256"))}) > 1 else ""


def _listed(left_out: Mapping[str, str]) -> str:
    return ", ".join(f"{task} ({why})" for task, why in left_out.items())


def _shown(score: float | None) -> str:
    return "-" if score is None else f"{score:.2f}"


def table_of(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines of one text; the first column is aligned to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join(lines)
