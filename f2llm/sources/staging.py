"""Write records to files in the order in which they come, so that memory does not grow with the source.

Three Parquet files: `passages` and `queries`, one row a mention of a text, and `links`, one row for
each passage that a query names. `record` numbers the records in the order of the adapter.
"""

import contextlib
import math
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.records.errors import InputError
from f2llm.records.ids import doc_id, query_id
from f2llm.records.tables import ID
from f2llm.records.text_keys import content_key, is_empty
from f2llm.rows.layout import NOT_UNICODE
from f2llm.sources.records import PASSAGE, QUERY, Labelled, Pair, Passage, Query, Record, Skipped

BATCH_ROWS = 4096
MOST_CHARACTERS = 1_000_000  # of a text; what is longer is a fault of the data
BATCH_CHARACTERS = 16 << 20  # a batch is written earlier when its texts are long
PAIR_SEPARATOR = "\x1f"  # between the two texts that make the id of a graded pair
POSITIVE, NEGATIVE, LATER_NEGATIVE = 0, 1, 2  # kinds of links, in the order of a query's negatives
StagedRow = tuple[str, tuple[Any, ...]]  # name of the file, and the row without its `record`
RECORDS_OF = {"retrieval": (Passage, Query), "classification": (Labelled,), "clustering": (Labelled,), "sts": (Pair,)}
_PLACE = [("file", pa.string()), ("row", pa.int64()), ("field", pa.string())]
SCHEMAS = {
    "passages": pa.schema(
        [("record", pa.int64()), ("key", pa.string()), ("doc_id", ID), ("text", pa.string()),
         ("content_key", pa.string()), *_PLACE]
    ),
    "queries": pa.schema(
        [("record", pa.int64()), ("query_id", ID), ("text", pa.string()), ("label", pa.string()),
         ("grade", pa.float64()), ("group", pa.string()), *_PLACE]
    ),
    "links": pa.schema(
        [("record", pa.int64()), ("query_id", ID), ("kind", pa.int8()), ("ordinal", pa.int32()), ("key", pa.string()),
         ("file", pa.string()), ("row", pa.int64())]
    ),
}  # fmt: skip


class Staged(NamedTuple):
    """Mentions read, by role, and mentions skipped, by role and reason."""

    read: Counter[str]
    skipped: dict[str, Counter[str]]


def stage_records(records: Iterable[Record], folder: Path, *, task: str, source: str) -> Staged:
    """Write `records` to passages, queries and links below `folder`; count what is read and skipped.

    Texts are brought to Unicode NFC. Records with a `record_fault` are skipped. For
    clustering every text is also a passage, for classification every label, for sts the second text
    of each pair.

    Raises:
        InputError: the adapter yields records that do not fit the task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = Staged(Counter(), {QUERY: Counter(), PASSAGE: Counter()})
    waiting: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}
    characters = 0
    with contextlib.ExitStack() as stack:
        files = {
            name: stack.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", schema))
            for name, schema in SCHEMAS.items()
        }
        for number, record in enumerate(records):
            if isinstance(record, Skipped):
                staged.read[record.role] += record.count
                staged.skipped[record.role][record.reason] += record.count
            elif isinstance(record, RECORDS_OF[task]):
                role = PASSAGE if isinstance(record, Passage) else QUERY
                staged.read[role] += 1
                if fault := record_fault(record):
                    staged.skipped[role][fault] += 1
                    continue
                for name, row in _ROWS_OF[type(record)](record, task, staged):
                    waiting[name].append((number, *row))
                characters += len(record.text)
                if characters > BATCH_CHARACTERS or max(map(len, waiting.values())) >= BATCH_ROWS:
                    _write(files, waiting)
                    characters = 0
            else:
                fitting = " and ".join(kind.__name__ for kind in RECORDS_OF[task])
                raise InputError(
                    f"source {source}: the adapter yields {type(record).__name__} records, a {task} source is made of "
                    f"{fitting}; choose another adapter or task"
                )
        _write(files, waiting)
    return staged


def _write(files: Mapping[str, pq.ParquetWriter], waiting: Mapping[str, list[tuple[Any, ...]]]) -> None:
    for name, rows in waiting.items():
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            files[name].write_batch(pa.record_batch(columns, schema=SCHEMAS[name]))
            rows.clear()


def _rows_of_passage(record: Passage, task: str, staged: Staged) -> Iterator[StagedRow]:
    yield _passage(record.key, record.text, record.file, record.row, record.field)


def _rows_of_query(record: Query, task: str, staged: Staged) -> Iterator[StagedRow]:
    identity, place = query_id(task, record.text), (record.file, record.row)
    yield "queries", (identity, _nfc(record.text), None, None, record.group, *place, record.field)
    named = ((POSITIVE, record.positives), (NEGATIVE, record.negatives), (LATER_NEGATIVE, record.later_negatives))
    for kind, keys in named:
        for ordinal, key in enumerate(keys):
            yield "links", (identity, kind, ordinal, key, *place)


def _rows_of_labelled(record: Labelled, task: str, staged: Staged) -> Iterator[StagedRow]:
    identity, label, place = query_id(task, record.text), _nfc(record.label), (record.file, record.row)
    yield "queries", (identity, _nfc(record.text), label, None, record.group, *place, record.field)
    staged.read[PASSAGE] += 1
    if task == "classification":
        yield _passage(label, label, *place, record.label_field)
        yield "links", (identity, POSITIVE, 0, label, *place)
    else:
        yield _passage(identity.hex(), record.text, *place, record.field)


def _rows_of_pair(record: Pair, task: str, staged: Staged) -> Iterator[StagedRow]:
    identity, key = query_id(task, f"{record.text}{PAIR_SEPARATOR}{record.other}"), doc_id(record.other).hex()
    place = (record.file, record.row)
    yield "queries", (identity, _nfc(record.text), None, record.grade, record.group, *place, record.field)
    staged.read[PASSAGE] += 1
    yield _passage(key, record.other, record.file, record.other_row, record.other_field)
    yield "links", (identity, POSITIVE, 0, key, *place)


_ROWS_OF = {Passage: _rows_of_passage, Query: _rows_of_query, Labelled: _rows_of_labelled, Pair: _rows_of_pair}


def _passage(key: str, text: str, *place: str | int) -> StagedRow:
    text = _nfc(text)
    return "passages", (key, doc_id(text), text, content_key(text), *place)


def record_fault(record: Passage | Query | Labelled | Pair) -> str:
    """Why a record cannot be used: its grade, a text, or a name that is not valid Unicode; empty if it can."""
    texts, names = [record.text], [record.key] if isinstance(record, Passage) else [record.group]
    if isinstance(record, Pair):
        if not math.isfinite(record.grade):
            return "grade is not a number"
        texts.append(record.other)
    elif isinstance(record, Labelled):
        texts.append(record.label)
    elif isinstance(record, Query):
        names += [*record.positives, *record.negatives, *record.later_negatives]
    fault = next(filter(None, map(_text_fault, texts)), "")
    return fault or ("" if all(map(_is_unicode, names)) else NOT_UNICODE)


def _text_fault(text: str) -> str:
    if is_empty(text):
        return "text is empty"
    if len(text) > MOST_CHARACTERS:
        return f"text has over {MOST_CHARACTERS:,} characters"
    if "\0" in text:
        return "text holds a NUL"
    return "" if _is_unicode(text) else NOT_UNICODE


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
