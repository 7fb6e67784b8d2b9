"""Tasks from a user's files, in the formats that sources have -> the folder in which mteb finds them.

A user's folder holds one file for each part of the task, named after it (`corpus.jsonl`, `test.csv`, ...). All faults
of its rows are reported at once, before anything is written.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import COLUMNS, SEARCHED, TITLE, Task
from f2llm.evaluate.tasks.data import PROBE, SCORED, TaskData, TaskText, write_task_data, write_texts
from f2llm.records.errors import InputError
from f2llm.records.ids import doc_id
from f2llm.records.text_keys import is_empty
from f2llm.rows.archives import RawFile
from f2llm.rows.fields import number_text
from f2llm.rows.files import is_hidden
from f2llm.rows.layout import TABLES, Flaw, RowFile, RowLayout, Values
from f2llm.rows.reader import read_rows

MOST_FAULTS = 20
FIELDS = {"queries": "query", "corpus": "corpus"}
RowsByPart = dict[str, list[dict[str, Any]]]
RELEVANT = 1  # least judgement of a passage that answers the query


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
        faults += faults_between_rows(task, rows, files={part: path.name for part, path in paths.items() if path})
    if faults:
        more = [f"and {len(faults) - MOST_FAULTS} more faults"] if len(faults) > MOST_FAULTS else []
        raise InputError([f"{where}: {fault}" for fault in faults[:MOST_FAULTS] + more])
    data = TaskData(files=rows, texts=_texts(task, rows), label_names=_number_labels(task, rows))
    write_task_data(folder, data, task=task)
    return data.counts() | {"texts": write_texts(texts, data.texts, task=task)}


def _path(task: Task, folder: Path, part: str, *, faults: list[str]) -> Path | None:
    """The one file of a part; None, and a fault, where there is none or more than one."""
    files = [path for path in sorted(folder.iterdir()) if _holds_part(path, part)]
    if len(files) == 1:
        return files[0]
    what = f"has {len(files)} files" if files else "has no file"
    faults.append(f"{what} {part} in one of the formats {', '.join(TABLES)}; a {task.type} task needs one")
    return None


def _holds_part(path: Path, part: str) -> bool:
    place = RowFile(RawFile(path, name=path.name))
    return place.stem == part and place.suffix in TABLES and path.is_file() and not is_hidden(path.name)


def _read(task: Task, part: str, path: Path, *, faults: list[str]) -> list[dict[str, Any]]:
    """The rows of one file with our names of columns; adds what is wrong with them to `faults`."""
    before = len(faults)
    rows = _rows_of(path, faults=faults)
    present = dict.fromkeys(column for row in rows if not isinstance(row, Flaw) for column in row)
    kinds, renamed = COLUMNS[part if part in COLUMNS else task.type], task.columns or {}
    names = {column: renamed.get(column, column) for column in kinds}  # our name -> that in the file
    title = renamed.get(TITLE, TITLE) if part == "corpus" else ""
    wanted = [*names.values(), *([title] if title and TITLE in renamed else [])]
    absent = [column for column in wanted if column not in present]
    if not present or absent:
        what = f"has no column {', '.join(map(repr, absent))}; its columns are {', '.join(present)}"
        if len(faults) == before or present:
            faults.append(f"{path.name} {what if present else 'is empty'}; name yours in `columns` or mend the file")
        return []
    typed_rows = []
    for number, row in enumerate(rows, 1):
        if isinstance(row, Flaw):
            if not row.columns or not set(wanted).isdisjoint(row.columns):
                faults += [] if row.broken else [f"{path.name}: row {number}: {row.reason}; mend this row"]
                continue
            row = row.values
        values = {}
        for column, kind in kinds.items():
            to_type = _LABELS.get((task.type, column)) or _TYPES[kind]
            try:
                values[column] = to_type(row[names[column]])
            except (ValueError, KeyError) as error:
                fault = "is missing" if isinstance(error, KeyError) else str(error)
                faults.append(f"{path.name}: row {number}: {names[column]}: {fault}; mend this row")
        headline = row.get(title) if title not in names.values() else None
        if isinstance(headline, str) and headline.strip():
            values["text"] = f"{headline} {values.get('text', '')}".strip()
        typed_rows.append(values)
    return typed_rows


def _rows_of(path: Path, *, faults: list[str]) -> list[Values | Flaw]:
    """The rows of a file as they are; adds to `faults` what is wrong with the file and its broken rows."""
    rows: list[Values | Flaw] = []
    try:
        rows += read_rows(RowFile(RawFile(path, name=path.name)), RowLayout())
    except InputError as error:
        faults += error.faults
        return []
    faults += [row.reason for row in rows if isinstance(row, Flaw) and row.broken]
    return rows


def _text(value: Any) -> str:  # noqa: ANN401 - a cell
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if whole and not isinstance(value, bool):
        return number_text(value)
    if not isinstance(value, str) or is_empty(value):
        raise ValueError(f"{value!r} is no text")
    return value


def _label(value: Any) -> str:  # noqa: ANN401 - a cell
    try:
        return _text(value)
    except ValueError:
        raise ValueError(f"{value!r} is no label: neither a text nor a whole number") from None


def _yes_or_no(value: Any) -> int:  # noqa: ANN401 - a cell
    text = number_text(value) if isinstance(value, float) else str(value)
    if isinstance(value, bool) or text not in ("0", "1"):
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return int(text)


def _number(value: Any) -> float:  # noqa: ANN401 - a cell
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    return number


def _whole(value: Any) -> int:  # noqa: ANN401 - a cell
    number = _number(value)
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)


def _list_of(to_type: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def to_list(value: Any) -> list[Any]:  # noqa: ANN401 - a cell
        if not isinstance(value, list) or not value:
            raise ValueError(f"{value!r} is no list with something in it")
        return [to_type(element) for element in value]

    return to_list


# Type of a column (f2llm.config.benchmarks.COLUMNS) -> what makes it of a cell, or raises a ValueError.
_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "string": _text, "float32": _number, "int32": _whole, "[string]": _list_of(_text), "[float64]": _list_of(_number),
}  # fmt: skip
_LABELS: Mapping[tuple[str, str], Callable[[Any], Any]] = {
    ("classification", "label"): _label, ("clustering", "labels"): _label, ("pairs", "labels"): _yes_or_no,
}  # fmt: skip


def _number_labels(task: Task, rows: RowsByPart) -> tuple[str, ...]:
    """Replace the labels of a classification by numbers, which mteb's metrics need; return their sorted names."""
    if task.type != "classification":
        return ()
    names = sorted({row["label"] for of_part in rows.values() for row in of_part})
    numbers = {name: number for number, name in enumerate(names)}
    for of_part in rows.values():
        for row in of_part:
            row["label"] = numbers[row["label"]]
    return tuple(names)


def _texts(task: Task, rows: RowsByPart) -> tuple[TaskText, ...]:
    """All texts of the parts that are scored."""
    texts = []
    for part, of_part in rows.items():
        if part == PROBE:
            continue
        kinds = COLUMNS[part if part in COLUMNS else task.type]
        columns = [column for column, kind in kinds.items() if "string" in kind and column in _TEXT_COLUMNS]
        field = FIELDS.get(part, "text")
        for row in of_part:
            for column in columns:
                cell = [row[column]] if isinstance(row[column], str) else row[column]
                texts += [TaskText(task.name, SCORED, doc_id(text).hex(), field, text) for text in cell]
    return tuple(texts)


_TEXT_COLUMNS = ("text", "sentences", "sentence1", "sentence2", "human_summaries", "machine_summaries")


def faults_between_rows(task: Task, rows: RowsByPart, *, files: Mapping[str, str]) -> list[str]:
    """All faults between rows, each with the file of its part (`files`: part -> name) and its row.

    `rows` have our names of columns; each of them has been checked by itself.
    """
    if task.type in SEARCHED:
        known, judged = {}, {}
        faults = [*_faults_of_ids(rows, known), *_faults_of_judgements(rows["qrels"], known, judged)]
        if "top_ranked" in rows:
            faults += _faults_of_rankings(rows["top_ranked"], known, judged)
    elif task.type == "summarisation":
        faults = list(_faults_of_lengths(rows[SCORED]))
    else:
        faults = list(_faults_of_labels(task, rows))
    return [f"{files[part]}: {fault}" for part, fault in faults]


def _faults_of_ids(rows: RowsByPart, known: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """Ids that occur twice; fills `known` with the ids of queries and corpus."""
    for part in ("queries", "corpus"):
        known[part] = set()
        for number, row in enumerate(rows[part], 1):
            if row["_id"] in known[part]:
                yield part, f"row {number}: _id {row['_id']!r} is there twice; give each row its own"
            known[part].add(row["_id"])


def _faults_of_judgements(
    qrels: list[dict[str, Any]], known: Mapping[str, set[str]], judged: dict[str, tuple[int, int]]
) -> Iterator[tuple[str, str]]:
    """Judgements of unknown or repeated pairs; fills `judged`: query -> its best judgement, the row of its first."""
    pairs = set()
    for number, row in enumerate(qrels, 1):
        query, passage = pair = row["query-id"], row["corpus-id"]
        for column, part in (("query-id", "queries"), ("corpus-id", "corpus")):
            if row[column] not in known[part]:
                yield "qrels", f"row {number}: {column} {row[column]!r} is not in {part}; mend this row"
        if pair in pairs:
            yield "qrels", f"row {number}: query-id {query!r} with corpus-id {passage!r} is there twice; keep one"
        pairs.add(pair)
        best, first = judged.get(query, (row["score"], number))
        judged[query] = max(best, row["score"]), first
    for query, (best, first) in judged.items():
        if best < RELEVANT:
            yield (
                "qrels",
                f"row {first}: query-id {query!r} has no judgement above 0; judge a passage relevant, or take its "
                "rows out",
            )


def _faults_of_rankings(
    ranked: list[dict[str, Any]], known: Mapping[str, set[str]], judged: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    seen = set()
    for number, row in enumerate(ranked, 1):
        query, passages = row["query-id"], row["corpus-ids"]
        if query not in known["queries"]:
            yield "top_ranked", f"row {number}: query-id {query!r} is not in queries; mend this row"
        if query in seen:
            yield "top_ranked", f"row {number}: query-id {query!r} is there twice; give all its passages in one row"
        seen.add(query)
        for passage in sorted({passage for passage in passages if passage not in known["corpus"]}):
            yield "top_ranked", f"row {number}: corpus-id {passage!r} is not in corpus; mend this row"
        if len(set(passages)) < len(passages):
            twice = next(passage for place, passage in enumerate(passages) if passage in passages[:place])
            yield "top_ranked", f"row {number}: corpus-id {twice!r} is there twice; list each passage once"
    for query, (_, first) in judged.items():
        if query not in seen:
            yield "top_ranked", f"no row is for query-id {query!r}, which row {first} of qrels judges; add one"


def _faults_of_lengths(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(rows, 1):
        if len(row["machine_summaries"]) != len(row["relevance"]):
            yield SCORED, f"row {number}: relevance has not one number for each of machine_summaries; mend it"
    if all(len(set(row["relevance"])) < 2 for row in rows):
        yield SCORED, "no row has two different numbers in relevance; nothing can be scored"


def _faults_of_labels(task: Task, rows: RowsByPart) -> Iterator[tuple[str, str]]:
    column = {"classification": "label", "clustering": "labels", "pairs": "labels", "sts": "score"}[task.type]
    for part, of_part in rows.items():
        if len({row[column] for row in of_part}) < 2:
            yield part, f"all rows have one {column}, {of_part[0][column]!r}; nothing can be scored"
    if task.type == "classification":
        taught = {row[column] for row in rows[PROBE]}
        for number, row in enumerate(rows[SCORED], 1):
            if row[column] not in taught:
                yield (
                    SCORED,
                    f"row {number}: {column} {row[column]!r} is not in {PROBE}, so no model can know it; add such rows "
                    "there, or take this one out",
                )
