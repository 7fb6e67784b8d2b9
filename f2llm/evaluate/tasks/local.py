"""Tasks of one's own files: JSON lines, CSV, TSV or Parquet -> the folder in which mteb finds them.

A folder holds one file for each part of the task, named after it (`corpus.jsonl`, `test.csv`, ...). All faults of
its rows are found at once, before anything is written.
"""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import COLUMNS, FILE_SUFFIXES, SEARCHED, TITLE, Task
from f2llm.errors import InputError
from f2llm.evaluate.tasks.data import PROBE, SCORED, TaskData, Text, write_task_data
from f2llm.evaluate.tasks.relations import Rows, relations
from f2llm.records.ids import doc_id
from f2llm.records.schemas.tasks import TEXTS
from f2llm.records.tables import write_rows

MOST_FAULTS = 20
FIELDS = {"queries": "query", "corpus": "corpus"}


def build_local_task(task: Task, *, folder: str | Path, texts: str | Path) -> dict[str, Any]:
    """Write the task's folder (f2llm.evaluate.tasks.data) and its texts (schema TEXTS); return counts.

    Raises:
        InputError: files or columns are missing, or rows cannot be used; each with file and row.
    """
    where = f"benchmark task {task.name}: {task.data}"
    origin = Path(task.data)
    if not task.has_data:
        raise InputError(f"{where}: there is no such folder below {Path.cwd()}; correct `data`")
    parts = SEARCHED.get(task.type) or ((PROBE, SCORED) if task.type == "classification" else (SCORED,))
    faults: list[str] = []
    paths = {part: _path(task, origin, part, faults=faults) for part in parts}
    rows = {part: _read(task, part, path, faults=faults) for part, path in paths.items() if path}
    if not faults:
        faults += relations(task, rows, files={part: path.name for part, path in paths.items() if path})
    if faults:
        more = [f"and {len(faults) - MOST_FAULTS} more faults"] if len(faults) > MOST_FAULTS else []
        raise InputError([f"{where}: {fault}" for fault in faults[:MOST_FAULTS] + more])
    data = TaskData(files=rows, texts=_texts(task, rows), label_names=_number_labels(task, rows))
    write_task_data(folder, data, task=task)
    found = sorted(set(data.texts), key=lambda row: (row.split, row.field, row.id))
    write_rows(texts, schema=TEXTS, rows=found, metadata={"task": task.name, "source": task.data})
    return data.counts() | {"texts": len(found)}


def _path(task: Task, folder: Path, part: str, *, faults: list[str]) -> Path | None:
    found = [folder / f"{part}{suffix}" for suffix in FILE_SUFFIXES if (folder / f"{part}{suffix}").is_file()]
    if len(found) == 1:
        return found[0]
    what = f"has {len(found)} files" if found else "has no file"
    faults.append(f"{what} {part}.jsonl, .parquet, .csv or .tsv; a {task.type} task needs one")
    return None


def _read(task: Task, part: str, path: Path, *, faults: list[str]) -> list[dict[str, Any]]:
    """Return the rows of one file with our names of columns; note what is wrong with them."""
    before = len(faults)
    rows = _rows_of(path, faults=faults)
    there = dict.fromkeys(column for row in rows if row is not None for column in row)
    kinds, named = COLUMNS[part if part in COLUMNS else task.type], task.columns or {}
    names = {column: named.get(column, column) for column in kinds}
    title = named.get(TITLE, TITLE) if part == "corpus" else ""
    wanted = [*names.values(), *([title] if title and TITLE in named else [])]
    absent = [theirs for theirs in wanted if theirs not in there]
    if not there or absent:
        what = f"has no column {', '.join(map(repr, absent))}; its columns are {', '.join(there)}"
        if len(faults) == before or there:
            faults.append(f"{path.name} {what if there else 'is empty'}; name yours in `columns` or mend the file")
        return []
    read = []
    for number, row in enumerate(rows, 1):
        if row is None:
            continue
        values = {}
        for column, kind in kinds.items():
            typed = _LABELS.get((task.type, column)) or _TYPED[kind]
            try:
                values[column] = typed(row[names[column]])
            except (ValueError, KeyError) as error:
                said = "is missing" if isinstance(error, KeyError) else str(error)
                faults.append(f"{path.name}: row {number}: {names[column]}: {said}; mend this row")
        over = row.get(title) if title not in names.values() else None
        if isinstance(over, str) and over.strip():
            values["text"] = f"{over} {values.get('text', '')}".strip()
        read.append(values)
    return read


def _rows_of(path: Path, *, faults: list[str]) -> list[dict[str, Any] | None]:
    """Return the rows of a file, None for one that is no row; note what is wrong with it."""
    import pandas as pd
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.ParquetFile(path).read().to_pylist()
        if path.suffix == ".jsonl":
            with open(path, encoding="utf-8-sig") as file:
                lines = [line for line in file if line.strip()]
            return [_object(line, where=f"{path.name}: row {number}", faults=faults)
                    for number, line in enumerate(lines, 1)]  # fmt: skip
        frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        faults.append(f"{path.name} cannot be read: {' '.join(str(error).split())[:200]}; mend the file")
        return []
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _object(line: str, *, where: str, faults: list[str]) -> dict[str, Any] | None:
    """Return the row on a line of JSON, or note that there is none."""
    try:
        found = json.loads(line)
    except ValueError as error:
        faults.append(f"{where}: is not JSON: {error}; mend this row")
        return None
    if isinstance(found, dict):
        return found
    faults.append(f"{where}: {line.strip()[:40]!r} is no object with columns and values; mend this row")
    return None


def _text(value: Any) -> str:  # noqa: ANN401 - a cell
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"{value!r} is no text")
    return str(value)


def _label(value: Any) -> str:  # noqa: ANN401 - a cell
    try:
        return _text(value)
    except ValueError:
        raise ValueError(f"{value!r} is no label: neither a text nor a whole number") from None


def _yes_or_no(value: Any) -> int:  # noqa: ANN401 - a cell
    if isinstance(value, bool) or str(value) not in ("0", "1"):
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return int(value)


def _number(value: Any) -> float:  # noqa: ANN401 - a cell
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{value!r} is not a finite number")
    return found


def _whole(value: Any) -> int:  # noqa: ANN401 - a cell
    found = _number(value)
    if found != int(found):
        raise ValueError(f"{value!r} is not a whole number")
    return int(found)


def _list(of: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def typed(value: Any) -> list[Any]:  # noqa: ANN401 - a cell
        if not isinstance(value, list) or not value:
            raise ValueError(f"{value!r} is no list with something in it")
        return [of(one) for one in value]

    return typed


_TYPED: Mapping[str, Callable[[Any], Any]] = {
    "string": _text, "float32": _number, "int32": _whole, "[string]": _list(_text), "[float64]": _list(_number),
}  # fmt: skip
_LABELS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("classification", "label"): _label, ("clustering", "labels"): _label, ("pairs", "labels"): _yes_or_no,
}  # fmt: skip


def _number_labels(task: Task, rows: Rows) -> tuple[str, ...]:
    """Make the labels of a classification numbers, as mteb's metrics want them; return their names."""
    if task.type != "classification":
        return ()
    names = sorted({row["label"] for found in rows.values() for row in found})
    numbers = {name: number for number, name in enumerate(names)}
    for found in rows.values():
        for row in found:
            row["label"] = numbers[row["label"]]
    return tuple(names)


def _texts(task: Task, rows: Rows) -> tuple[Text, ...]:
    found = []
    for part, own in rows.items():
        if part == PROBE:
            continue
        kinds = COLUMNS[part if part in COLUMNS else task.type]
        columns = [column for column, kind in kinds.items() if "string" in kind and column in _TEXT_COLUMNS]
        for row in own:
            values = [
                one for column in columns for one in ([row[column]] if isinstance(row[column], str) else row[column])
            ]
            found += [Text(task.name, SCORED, doc_id(text).hex(), FIELDS.get(part, "text"), text) for text in values]
    return tuple(found)


_TEXT_COLUMNS = ("text", "sentences", "sentence1", "sentence2", "human_summaries", "machine_summaries")
