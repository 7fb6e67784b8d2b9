"""Write records to files in the order in which they come, so that memory does not grow with the source.

Three Parquet files: `passages` and `queries`, one row a mention of a text, and `links`, one row for
each passage that a query names. `record` numbers the records in the order of the adapter.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.errors import InputError
from f2llm.records.ids import doc_id, query_id
from f2llm.records.tables import ID
from f2llm.records.text_keys import content_key
from f2llm.sources.records import PASSAGE, QUERY, Labelled, Pair, Passage, Query, Record, Skipped

BATCH_ROWS = 4096
MOST_CHARACTERS = 1_000_000  # of a text; what is longer is a fault of the data
BATCH_CHARACTERS = 16 << 20  # a batch is written earlier when its texts are long
PAIR_SEPARATOR = "\x1f"  # between the two texts that make the id of a graded pair
POSITIVE, NEGATIVE, LATER_NEGATIVE = 0, 1, 2  # kinds of links, in the order of a query's negatives
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
    staged = Staged(Counter(), {QUERY: Counter(), PASSAGE: Counter()})
    with _Writer(folder) as writer:
        for number, record in enumerate(records):
            if isinstance(record, Skipped):
                staged.read[record.role] += record.count
                staged.skipped[record.role][record.reason] += record.count
            elif isinstance(record, RECORDS_OF[task]):
                _STAGE[type(record)](record, number, task, writer, staged)
            else:
                fitting = " and ".join(kind.__name__ for kind in RECORDS_OF[task])
                raise InputError(
                    f"source {source}: the adapter yields {type(record).__name__} records, a {task} source is made of "
                    f"{fitting}; choose another adapter or task"
                )
    return staged


def _stage_passage(record: Passage, number: int, task: str, writer: "_Writer", staged: Staged) -> None:
    if _count_mention(PASSAGE, staged, record.text):
        writer.passage(number, record.key, record.text, record.file, record.row, record.field)


def _stage_query(record: Query, number: int, task: str, writer: "_Writer", staged: Staged) -> None:
    if _count_mention(QUERY, staged, record.text):
        identity = query_id(task, record.text)
        writer.query(number, identity, record.text, None, None, record.group, record.file, record.row, record.field)
        named = ((POSITIVE, record.positives), (NEGATIVE, record.negatives), (LATER_NEGATIVE, record.later_negatives))
        for kind, keys in named:
            for ordinal, key in enumerate(keys):
                writer.link(number, identity, kind, ordinal, key, record.file, record.row)


def _stage_labelled(record: Labelled, number: int, task: str, writer: "_Writer", staged: Staged) -> None:
    if not _count_mention(QUERY, staged, record.text, record.label):
        return
    identity, place = query_id(task, record.text), (record.file, record.row)
    writer.query(number, identity, record.text, _nfc(record.label), None, record.group, *place, record.field)
    staged.read[PASSAGE] += 1
    if task == "classification":
        writer.passage(number, _nfc(record.label), record.label, *place, record.label_field)
        writer.link(number, identity, POSITIVE, 0, _nfc(record.label), *place)
    else:
        writer.passage(number, identity.hex(), record.text, *place, record.field)


def _stage_pair(record: Pair, number: int, task: str, writer: "_Writer", staged: Staged) -> None:
    fault = "" if math.isfinite(record.grade) else "grade is not a number"
    if not _count_mention(QUERY, staged, record.text, record.other, fault=fault):
        return
    identity, key = query_id(task, f"{record.text}{PAIR_SEPARATOR}{record.other}"), doc_id(record.other).hex()
    place = (record.file, record.row, record.field)
    writer.query(number, identity, record.text, None, record.grade, record.group, *place)
    staged.read[PASSAGE] += 1
    writer.passage(number, key, record.other, record.file, record.other_row, record.other_field)
    writer.link(number, identity, POSITIVE, 0, key, record.file, record.row)


_STAGE = {Passage: _stage_passage, Query: _stage_query, Labelled: _stage_labelled, Pair: _stage_pair}


def _count_mention(role: str, staged: Staged, *texts: str, fault: str = "") -> bool:
    """Count one mention, as skipped for `fault` or that of a text; return whether it can be used."""
    staged.read[role] += 1
    reason = fault or next(filter(None, map(_text_fault, texts)), "")
    if reason:
        staged.skipped[role][reason] += 1
    return not reason


def _text_fault(text: str) -> str:
    if not text.strip():
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


class _Writer:
    """Buffers rows of the three files and writes them in batches."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {name: pq.ParquetWriter(folder / f"{name}.parquet", schema) for name, schema in SCHEMAS.items()}
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in SCHEMAS}
        self._characters = 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for name, file in self._files.items():
            if kind is None:
                self._flush(name)
            file.close()

    def passage(self, number: int, key: str, text: str, *place: str | int) -> None:
        text = _nfc(text)
        self._add("passages", (number, key, doc_id(text), text, content_key(text), *place), len(text))

    def query(self, number: int, identity: bytes, text: str, *rest: str | float | None) -> None:
        self._add("queries", (number, identity, _nfc(text), *rest), len(text))

    def link(self, number: int, identity: bytes, kind: int, ordinal: int, key: str, *place: str | int) -> None:
        self._add("links", (number, identity, kind, ordinal, key, *place), 0)

    def _add(self, name: str, row: tuple[Any, ...], characters: int) -> None:
        self._rows[name].append(row)
        self._characters += characters
        if self._characters > BATCH_CHARACTERS:
            for table in SCHEMAS:
                self._flush(table)
        elif len(self._rows[name]) >= BATCH_ROWS:
            self._flush(name)

    def _flush(self, name: str) -> None:
        rows, self._rows[name] = self._rows[name], []
        if not any(self._rows.values()):
            self._characters = 0
        if rows:
            columns = [list(column) for column in zip(*rows, strict=True)]
            self._files[name].write_batch(pa.record_batch(columns, schema=SCHEMAS[name]))
