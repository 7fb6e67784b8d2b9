"""The rows of a source's files: of every format, filtered by the options of their layout, what is left out counted."""

import functools
import hashlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from f2llm.records.errors import InputError
from f2llm.rows.archives import RawFile
from f2llm.rows.delimited import delimited_rows
from f2llm.rows.fields import Columns, has_column, label_of, list_in, names_of, text_of
from f2llm.rows.files import is_hidden
from f2llm.rows.json_rows import json_rows
from f2llm.rows.layout import (
    CONTAINERS,
    DELIMITERS,
    JSON_LINES,
    SUFFIXES,
    TEXT_COLUMN,
    TOO_SHORT,
    WORKBOOKS,
    Flaw,
    RowFile,
    RowLayout,
    Values,
    holds_rows,
    is_beside,
)
from f2llm.rows.tables import parquet_rows, workbook_rows

NOT_SELECTED = "row is left out by the option `only`"
NOT_FIRST = "row has the text of one before it in the column of the option `distinct`"
MOST_FAULTS = 5  # of broken rows that are named at once
LOOKED_AT = 1000  # rows behind the first broken one
LISTED_COLUMNS = 20
LISTED_FILES = 5
logger = logging.getLogger(__name__)


class Row(NamedTuple):
    """One row; `row` is its 0-based ordinal among the data rows of its file."""

    file: str
    row: int
    values: Mapping[str, Any]


class LeftOut(NamedTuple):
    """Rows of a file that are left out for one reason, the first of them being `row`."""

    reason: str
    file: str
    row: int
    count: int


def read_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of one file, in their order, as they are.

    Raises:
        InputError: a format that is not known, or a file that is not of its format.
    """
    read = _READERS.get(place.suffix)
    if read is None:
        raise InputError(
            f"{place.where}: rows of {place.suffix or 'files without a suffix'} cannot be read; "
            f"use {', '.join(SUFFIXES)}"
        )
    rows = itertools.islice(read(place, layout), layout.skip_rows, None)
    return _with_lists(rows, layout.lists) if layout.lists else rows


def sound_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of one file; a row at fault by itself is a `Flaw`.

    Raises:
        InputError: as `read_rows`; broken rows, the first few of them at once.
    """
    rows = read_rows(place, layout)
    for row in rows:
        if isinstance(row, Flaw) and row.broken:
            behind = (other for other in itertools.islice(rows, LOOKED_AT) if isinstance(other, Flaw) and other.broken)
            raise InputError([flaw.reason for flaw in (row, *itertools.islice(behind, MOST_FAULTS - 1))])
        yield row


class RawRows:
    """The rows of all files of a source, one file after the other.

    Attributes:
        place: the row that was yielded last, for faults that show when it is used.
    """

    def __init__(self, files: Sequence[RawFile], layout: RowLayout) -> None:
        self._files, self._layout = files, layout
        self._left_out: dict[tuple[str, str], LeftOut] = {}
        self.place = ""

    def read(self, *needed: Columns, pattern: str = "*") -> Iterator[Row]:
        """Yield the rows of the files whose name matches `pattern` ("*" also crosses "/"); a column "" is not needed.

        The option `distinct` holds a hash of each text of its column in memory: about 100 bytes, 200 MB for two
        million rows. Rows without a text in it all count.

        Raises:
            InputError: no such file, one of an unknown format, broken rows, or a file whose first row lacks a
                column of `needed` or of the options `only` and `distinct`.
        """
        only = {column: set(map(label_of, texts)) for column, texts in self._layout.only.items()}
        named = [*filter(None, needed), *only, *filter(None, [self._layout.distinct])]
        wanted = {name.split(".")[0] for columns in named for name in names_of(columns)}
        is_first = _firsts(self._layout.distinct)
        for place in self._places(pattern):
            where = place.where
            added = {self._layout.file_column: place.stem} if self._layout.file_column else {}
            for row, content in enumerate(sound_rows(place, self._layout)):
                flaw = content if isinstance(content, Flaw) else None
                values = flaw.values if flaw else content
                values = {**values, **added} if added else values
                self.place = f"{where}: row {row + 1}"
                if row == 0:
                    _check_columns(values, [*named, *self._layout.lists], where=where)
                if flaw and (flaw.reason != TOO_SHORT or not wanted.isdisjoint(flaw.columns)):
                    self._leave_out(flaw.reason, where, row)
                elif not all(label_of(text_of(values, column)) in texts for column, texts in only.items()):
                    self._leave_out(NOT_SELECTED, where, row)
                elif is_first(values):
                    yield Row(where, row, values)
                else:
                    self._leave_out(NOT_FIRST, where, row)

    def left_out(self) -> Iterator[LeftOut]:
        """Yield the rows that have been left out so far, as one record a file and reason."""
        yield from self._left_out.values()

    def _leave_out(self, reason: str, where: str, row: int) -> None:
        before = self._left_out.get((where, reason), LeftOut(reason, where, row, 0))
        self._left_out[where, reason] = before._replace(count=before.count + 1)

    def _places(self, pattern: str) -> list[RowFile]:
        places = [place for place in self._row_files if fnmatchcase(place.name, pattern)]
        if self._row_files and not places:
            names = ", ".join(place.name for place in self._row_files[:8])
            raise InputError(f"no file is named like {pattern!r} (there are {names}); correct the pattern's option")
        return places

    @functools.cached_property
    def _row_files(self) -> list[RowFile]:
        """The files and members that rows are read of; what else lies beside them (a README) is named in one line."""
        every = [RowFile(file, member) for file in self._files for member in _members(file, self._layout.member)]
        others = [place for place in every if is_beside(place.name) and not holds_rows(place.name, of=CONTAINERS)]
        if not others or len(others) == len(every):
            return every
        more = f" and {len(others) - LISTED_FILES} more" if len(others) > LISTED_FILES else ""
        names = ", ".join(place.where for place in others[:LISTED_FILES])
        logger.warning("passed over, as no rows are read of such files: %s%s", names, more)
        return [place for place in every if place not in others]


def _firsts(column: str) -> Callable[[Values], bool]:
    """Whether a row is the first with its text in `column`; every row is without a column, and without a text."""
    seen: set[bytes] = set()

    def is_first(values: Values) -> bool:
        text = text_of(values, column) if column else ""
        before = len(seen)
        if text:
            seen.add(hashlib.blake2b(text.encode(), digest_size=16).digest())
        return not text or len(seen) > before

    return is_first


def _members(file: RawFile, member: str) -> list[str]:
    if "*" not in member:
        return [member]
    names = [name for name in file.members() if fnmatchcase(name, member) and not is_hidden(name)]
    if not names:
        raise InputError(f"{file.name}: no member is named like {member!r}; correct `member` in the stanza")
    return names


def _check_columns(values: Values, needed: Sequence[Columns], *, where: str) -> None:
    names = dict.fromkeys(name for columns in needed for name in names_of(columns))
    missing = [name for name in names if not has_column(values, name)]
    if missing:
        marks = [mark for mark in ";\t|" if len(values) == 1 and mark in next(iter(values))]
        advice = f"give the option `delimiter: {marks[0]!r}`" if marks else "name the right one in the stanza's options"
        more = f" and {len(values) - LISTED_COLUMNS} more" if len(values) > LISTED_COLUMNS else ""
        raise InputError(
            f"{where}: there is no column {', '.join(map(repr, missing))}; it has "
            f"{', '.join(map(repr, itertools.islice(values, LISTED_COLUMNS)))}{more}: {advice}"
        )


def _with_lists(rows: Iterator[Values | Flaw], columns: Sequence[str]) -> Iterator[Values | Flaw]:
    """Yield the rows with the texts of `columns` read as lists; one whose text is no list as a `Flaw`."""
    for row in rows:
        if isinstance(row, Flaw):
            yield row
            continue
        texts = {name: row[name] for name in columns if isinstance(row.get(name), str) and row[name].strip()}
        lists = {name: list_in(text.strip()) for name, text in texts.items()}
        bad = [name for name, value in lists.items() if value is None]
        values = {**row, **lists}
        yield Flaw(f"{bad[0]!r} is no list in JSON or Python's form", values, bad) if bad else values


def _text_lines(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as lines:
        for line in lines:
            if not layout.comment or not line.startswith(layout.comment):
                yield {TEXT_COLUMN: line.rstrip("\r\n")}


_READERS: Mapping[str, Callable[[RowFile, RowLayout], Iterator[Values | Flaw]]] = {
    **dict.fromkeys((*JSON_LINES, ".json"), json_rows),
    **dict.fromkeys(DELIMITERS, delimited_rows),
    ".parquet": parquet_rows,
    **dict.fromkeys(WORKBOOKS, workbook_rows),
    ".txt": _text_lines,
}
