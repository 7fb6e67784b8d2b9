"""Rows of JSON, CSV, tab-separated, Parquet and text files, plain or compressed, alone or in archives."""

import csv
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from f2llm.errors import InputError
from f2llm.records.files import SEPARATOR
from f2llm.sources.archives import RawFile
from f2llm.sources.formats.fields import Columns, has_column, names_of, text_of
from f2llm.sources.records import Skipped

COMPRESSED = (".gz", ".bz2")
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
TEXT_COLUMN = "text"  # of files that hold one text a line
PARQUET_ROWS = 4096
MOST_FIELD_CHARACTERS = 1 << 30
NOT_SELECTED = "row is left out by the option `only`"


class Row(NamedTuple):
    """One row; `row` is its 0-based ordinal among the data rows of its file."""

    file: str
    row: int
    values: Mapping[str, Any]


class RowFile(NamedTuple):
    """A file of rows: plain (member "") or a member of an archive."""

    file: RawFile
    member: str

    @property
    def name(self) -> str:
        """Path inside the archive, or of the plain file."""
        return self.member.split(SEPARATOR)[-1] or self.file.name


@dataclass(frozen=True, kw_only=True)
class RowLayout:
    """How the rows lie in the files: options of every adapter that reads rows. The format follows from the suffix."""

    member: str = ""  # inside an archive; may be a glob pattern; empty for files that are data themselves
    columns: Sequence[str] = ()  # names for delimited files without a header
    delimiter: str = ""  # for delimited files; empty: by suffix
    comment: str = ""  # lines that begin with it are left out
    skip_rows: int = 0  # rows after the header that are no data
    encoding: str = "utf-8-sig"
    errors: str = "strict"  # or replace: what happens to bytes that are not `encoding`
    file_column: str = ""  # a column of this name is added: the name of the row's file without its suffixes
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)  # column -> texts; other rows are left out


class RawRows:
    """The rows of all files of a source, one file after the other."""

    def __init__(self, files: Sequence[RawFile], layout: RowLayout) -> None:
        self._files, self._layout = files, layout
        self._left_out: dict[str, Skipped] = {}

    def read(self, *needed: Columns, pattern: str = "*") -> Iterator[Row]:
        """Yield the rows of the files whose name matches `pattern` ("*" also crosses "/"); a column "" is not needed.

        Raises:
            InputError: no such file, one of an unknown format, or one whose first row lacks a
                column of `needed` or of the option `only`.
        """
        only = {column: set(map(str, texts)) for column, texts in self._layout.only.items()}
        for place in self._places(pattern):
            where = place.file.where(place.member)
            added = {self._layout.file_column: _stem(place.name)} if self._layout.file_column else {}
            for row, values in enumerate(itertools.islice(_open(place, self._layout), self._layout.skip_rows, None)):
                values = {**values, **added} if added else values
                if row == 0:
                    _check_columns(values, [*filter(None, needed), *only], where=where)
                if all(text_of(values, column) in texts for column, texts in only.items()):
                    yield Row(where, row, values)
                else:
                    before = self._left_out.get(where, Skipped(NOT_SELECTED, where, row, count=0))
                    self._left_out[where] = before._replace(count=before.count + 1)

    def left_out(self) -> Iterator[Skipped]:
        """Yield the rows that the option `only` has left out so far, as one record a file."""
        yield from self._left_out.values()

    def _places(self, pattern: str) -> list[RowFile]:
        row_files = [RowFile(file, member) for file in self._files for member in _members(file, self._layout.member)]
        places = [place for place in row_files if fnmatchcase(place.name, pattern)]
        if row_files and not places:
            names = ", ".join(place.name for place in row_files[:8])
            raise InputError(f"no file is named like {pattern!r} (there are {names}); correct the pattern's option")
        return places


def _members(file: RawFile, member: str) -> list[str]:
    if "*" not in member:
        return [member]
    names = [name for name in file.members() if fnmatchcase(name, member)]
    if not names:
        raise InputError(f"{file.name}: no member is named like {member!r}; correct `member` in the stanza")
    return names


def _open(place: RowFile, layout: RowLayout) -> Iterator[Mapping[str, Any]]:
    suffix = _suffix(PurePosixPath(place.name))
    read = _READERS.get(suffix)
    if read is None:
        raise InputError(
            f"{place.file.where(place.member)}: rows of {suffix or 'files without a suffix'} cannot be read; "
            f"use {', '.join(_READERS)}"
        )
    return read(place, layout, suffix)


def _suffix(name: PurePosixPath) -> str:
    return name.with_suffix("").suffix if name.suffix in COMPRESSED else name.suffix


def _stem(name: str) -> str:
    """The file name without compression and format suffix: "dba.example.com.jsonl.gz" -> "dba.example.com"."""
    path = PurePosixPath(name)
    plain = path.with_suffix("") if path.suffix in COMPRESSED else path
    return plain.stem if plain.suffix in _READERS else plain.name


def _check_columns(values: Mapping[str, Any], needed: Sequence[Columns], *, where: str) -> None:
    names = dict.fromkeys(name for columns in needed for name in names_of(columns))
    missing = [name for name in names if not has_column(values, name)]
    if missing:
        raise InputError(
            f"{where}: there is no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, values))}: name the right one in the stanza's options"
        )


def _delimited(place: RowFile, layout: RowLayout, suffix: str) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(MOST_FIELD_CHARACTERS)
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as lines:
        kept = (line for line in lines if not layout.comment or not line.startswith(layout.comment))
        names = list(layout.columns) or None
        try:
            yield from csv.DictReader(kept, fieldnames=names, delimiter=layout.delimiter or DELIMITERS[suffix])
        except csv.Error as error:
            where = place.file.where(place.member)
            raise InputError(f"{where}: not readable as {suffix} ({error}); mend the file") from error


def _json_lines(place: RowFile, layout: RowLayout, suffix: str) -> Iterator[Mapping[str, Any]]:
    where = place.file.where(place.member)
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise InputError(f"{where}: line {number}: {error}; mend that line") from error
            if not isinstance(values, dict):
                raise InputError(f"{where}: line {number}: not an object; write {{...}} on each line")
            yield values


def _json(place: RowFile, layout: RowLayout, suffix: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of one list, which is held in memory, or of lines."""
    where = place.file.where(place.member)
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as text:
        first = next((line.lstrip()[:1] for line in text if line.strip()), "")
    if first != "[":
        yield from _json_lines(place, layout, suffix)
        return
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as text:
        try:
            rows = json.load(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{where}: {error}; mend the file") from error
    for number, values in enumerate(rows):
        if not isinstance(values, dict):
            raise InputError(f"{where}: entry {number}: not an object; write [{{...}}, ...]")
        yield values


def _lines(place: RowFile, layout: RowLayout, suffix: str) -> Iterator[Mapping[str, Any]]:
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as lines:
        for line in lines:
            if not layout.comment or not line.startswith(layout.comment):
                yield {TEXT_COLUMN: line.rstrip("\r\n")}


def _parquet(place: RowFile, layout: RowLayout, suffix: str) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = place.file.where(place.member)
    if place.member:
        raise InputError(f"{where}: Parquet inside an archive cannot be read; unpack it")
    try:
        with pq.ParquetFile(place.file.path) as table:
            for batch in table.iter_batches(PARQUET_ROWS):
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: not readable as Parquet ({error}); fetch it again or mend the file") from error


_READERS = {
    **dict.fromkeys(JSON_LINES, _json_lines),
    ".json": _json,
    **dict.fromkeys(DELIMITERS, _delimited),
    ".parquet": _parquet,
    ".txt": _lines,
}
