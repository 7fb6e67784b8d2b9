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

from f2llm.errors import InputError
from f2llm.records.ids import doc_id, query_id
from f2llm.records.tables import ID
from f2llm.records.text_keys import content_key, is_empty
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

    Texts are brought to Unicode NFC. Empty texts, overlong ones and invalid Unicode are skipped. For
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
    if _count_mention(PASSAGE, staged, record.text):
        yield _passage(record.key, record.text, record.file, record.row, record.field)


def _rows_of_query(record: Query, task: str, staged: Staged) -> Iterator[StagedRow]:
    if _count_mention(QUERY, staged, record.text):
        identity, place = query_id(task, record.text), (record.file, record.row)
        yield "queries", (identity, _nfc(record.text), None, None, record.group, *place, record.field)
        named = ((POSITIVE, record.positives), (NEGATIVE, record.negatives), (LATER_NEGATIVE, record.later_negatives))
        for kind, keys in named:
            for ordinal, key in enumerate(keys):
                yield "links", (identity, kind, ordinal, key, *place)


def _rows_of_labelled(record: Labelled, task: str, staged: Staged) -> Iterator[StagedRow]:
    if not _count_mention(QUERY, staged, record.text, record.label):
        return
    identity, label, place = query_id(task, record.text), _nfc(record.label), (record.file, record.row)
    yield "queries", (identity, _nfc(record.text), label, None, record.group, *place, record.field)
    staged.read[PASSAGE] += 1
    if task == "classification":
        yield _passage(label, label, *place, record.label_field)
        yield "links", (identity, POSITIVE, 0, label, *place)
    else:
        yield _passage(identity.hex(), record.text, *place, record.field)


def _rows_of_pair(record: Pair, task: str, staged: Staged) -> Iterator[StagedRow]:
    fault = "" if math.isfinite(record.grade) else "grade is not a number"
    if not _count_mention(QUERY, staged, record.text, record.other, fault=fault):
        return
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


def _count_mention(role: str, staged: Staged, *texts: str, fault: str = "") -> bool:
    """Count one mention, as skipped for `fault` or that of a text; return whether it can be used."""
    staged.read[role] += 1
    reason = fault or next(filter(None, map(_text_fault, texts)), "")
    if reason:
        staged.skipped[role][reason] += 1
    return not reason


def _text_fault(text: str) -> str:
    if is_empty(text):
        return "text is empty"
    if len(text) > MOST_CHARACTERS:
        return f"text has over {MOST_CHARACTERS:,} characters"
    if "\0" in text:
        return "text holds a NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "text is not valid Unicode"
    return ""


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
