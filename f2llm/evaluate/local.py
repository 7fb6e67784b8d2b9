"""Tasks of one's own files: JSON lines, CSV, TSV or Parquet -> the folder in which mteb finds them.

A folder holds one file for each part of the task, named after it (`corpus.jsonl`, `test.csv`, ...). All faults of
its rows are found at once, before anything is written.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Task
from f2llm.errors import InputError
from f2llm.evaluate.task_data import COLUMNS, PROBE, SCORED, SEARCHED, TaskData, Text, write_task_data
from f2llm.records.ids import doc_id
from f2llm.records.schemas import TEXTS
from f2llm.records.tables import write_rows

READERS = (".jsonl", ".parquet", ".csv", ".tsv")
MOST_FAULTS = 20
TITLE = "title"  # of a passage; comes before its text
FIELDS = {"queries": "query", "corpus": "corpus"}
Rows = dict[str, list[dict[str, Any]]]


def build_local_task(task: Task, *, folder: str | Path, texts: str | Path) -> dict[str, Any]:
    """Write the task's folder (f2llm.evaluate.task_data) and its texts (schema TEXTS); return counts.

    Raises:
        InputError: files or columns are missing, or rows cannot be used; each with file and row.
    """
    where = f"benchmark task {task.name}: {task.data}"
    origin = Path(task.data)
    if ".." in origin.parts or not origin.resolve().is_relative_to(Path.cwd().resolve()) or not origin.is_dir():
        raise InputError(f"{where}: there is no such folder below {Path.cwd()}; correct `data`")
    parts = SEARCHED.get(task.type) or ((PROBE, SCORED) if task.type == "classification" else (SCORED,))
    faults: list[str] = []
    rows = {part: _read(task, origin, part, where=where, faults=faults) for part in parts}
    if not faults:
        faults += [f"{where}: {fault}" for fault in _relations(task, rows)]
    if faults:
        more = [f"{where}: and {len(faults) - MOST_FAULTS} more faults"] if len(faults) > MOST_FAULTS else []
        raise InputError(faults[:MOST_FAULTS] + more)
    data = TaskData(files=rows, texts=_texts(task, rows), label_names=_number_labels(task, rows))
    write_task_data(folder, data, task=task)
    found = sorted(set(data.texts), key=lambda row: (row.split, row.field, row.id))
    write_rows(texts, schema=TEXTS, rows=found, metadata={"task": task.name, "source": task.data})
    return data.counts() | {"texts": len(found)}


def _read(task: Task, folder: Path, part: str, *, where: str, faults: list[str]) -> list[dict[str, Any]]:
    """Return the rows of one file with our names of columns; note what is wrong with them."""
    found = [folder / f"{part}{suffix}" for suffix in READERS if (folder / f"{part}{suffix}").is_file()]
    if len(found) != 1:
        what = f"has {len(found)} files" if found else "has no file"
        faults.append(f"{where}: {what} {part}.jsonl, .parquet, .csv or .tsv; a {task.type} task needs one")
        return []
    rows = _rows_of(found[0], where=where)
    kinds = COLUMNS[part if part in COLUMNS else task.type]
    names = {column: (task.columns or {}).get(column, column) for column in kinds}
    absent = [theirs for theirs in names.values() if rows and theirs not in rows[0]]
    if absent or not rows:
        what = (
            f"has no column {', '.join(map(repr, absent))}; its columns are {', '.join(rows[0])}"
            if rows
            else "is empty"
        )
        faults.append(f"{where}: {found[0].name} {what}; name yours in `columns` or mend the file")
        return []
    read = []
    for number, row in enumerate(rows, 1):
        values = {}
        for column, kind in kinds.items():
            try:
                values[column] = _TYPED[kind](row[names[column]])
            except (TypeError, ValueError, KeyError) as error:
                said = "is missing" if isinstance(error, KeyError) else str(error)
                faults.append(f"{where}: {found[0].name}: row {number}: {names[column]}: {said}; mend this row")
        if part == "corpus" and row.get(TITLE):
            values["text"] = f"{row[TITLE]} {values.get('text', '')}".strip()
        read.append(values)
    return read


def _rows_of(path: Path, *, where: str) -> list[dict[str, Any]]:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        elif path.suffix == ".jsonl":
            frame = pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        else:
            frame = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", dtype=str, keep_default_na=False)
    except (ValueError, OSError) as error:
        raise InputError(f"{where}: {path.name} cannot be read: {' '.join(str(error).split())[:200]}") from error
    return frame.to_dict("records")


def _text(value: Any) -> str:  # noqa: ANN401 - a cell
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError(f"{value!r} is no text")
    return str(value)


def _number(value: Any) -> float:  # noqa: ANN401 - a cell
    found = float(value)
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
        if isinstance(value, str) or not hasattr(value, "__len__") or not len(value):
            raise ValueError(f"{value!r} is no list with something in it")
        return [of(one) for one in value]

    return typed


_TYPED: Mapping[str, Callable[[Any], Any]] = {
    "string": _text, "float32": _number, "int32": _whole, "int64": lambda value: value, "[string]": _list(_text),
    "[float64]": _list(_number),
}  # fmt: skip


def _relations(task: Task, rows: Rows) -> list[str]:
    """Return faults between rows: unknown and repeated ids, labels, lengths of lists."""
    faults = []
    if task.type in SEARCHED:
        ids = {part: [row["_id"] for row in rows[part]] for part in ("queries", "corpus")}
        for part, found in ids.items():
            if len(set(found)) < len(found):
                twice = next(one for one in found if found.count(one) > 1)
                faults.append(f"{part}: _id {twice!r} is there twice; give each row its own")
        known = {part: set(found) for part, found in ids.items()}
        for number, row in enumerate(rows["qrels"], 1):
            for column, part in (("query-id", "queries"), ("corpus-id", "corpus")):
                if row[column] not in known[part]:
                    faults.append(f"qrels: row {number}: {column} {row[column]!r} is not in {part}; mend this row")
        for number, row in enumerate(rows.get("top_ranked", ()), 1):
            lost = [one for one in row["corpus-ids"] if one not in known["corpus"]]
            if lost or row["query-id"] not in known["queries"]:
                faults.append(
                    f"top_ranked: row {number}: {(lost or [row['query-id']])[0]!r} is not there; mend this row"
                )
    elif task.type == "summarisation":
        for number, row in enumerate(rows[SCORED], 1):
            if len(row["machine_summaries"]) != len(row["relevance"]):
                faults.append(
                    f"test: row {number}: relevance has not one number for each of machine_summaries; mend it"
                )
    else:
        column = {"classification": "label", "clustering": "labels", "pairs": "labels", "sts": "score"}[task.type]
        for part, found in rows.items():
            if len({str(row[column]) for row in found}) < 2:
                faults.append(f"{part}: all rows have one {column}, {found[0][column]!r}; nothing can be scored")
    return faults


def _number_labels(task: Task, rows: Rows) -> tuple[str, ...]:
    """Make labels numbers, as mteb's metrics want them; return the names of a classification's."""
    if task.type == "pairs":
        for row in rows[SCORED]:
            row["labels"] = int(row["labels"])
    if task.type != "classification":
        return ()
    names = sorted({str(row["label"]) for found in rows.values() for row in found})
    for found in rows.values():
        for row in found:
            row["label"] = names.index(str(row["label"]))
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
