"""Rows of comma- and tab-separated files: what a quotation mark opens, and what a comment is."""

import csv
import io
import logging
from collections.abc import Iterator, Sequence

from f2llm.records.errors import InputError
from f2llm.rows.layout import DELIMITERS, Flaw, RowFile, RowLayout, Values, row_of, unique_names

MOST_FIELD_CHARACTERS = 1 << 30
MOST_ROW_LINES = 10_000  # of one row; what is longer is a quotation mark that nobody closes
LOOKALIKE_LINES = 20  # of a quoted text whose lines all look like rows of two columns; fewer with more columns
LEAST_LOOKALIKES = 4
OTHER_DELIMITERS = ";\t|,"
QUOTED_TEXT = 'a text that holds a delimiter, a line end or a quotation mark stands between marks: "like ""this"""'
# What the parser's own words mean here.
_MEANINGS = {
    "end of data": "a quotation mark opens a text and nothing closes it",
    "new-line": "a carriage return stands in a text without marks around it",
}
logger = logging.getLogger(__name__)


def delimited_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of a delimited file; those with too many or too few fields as a `Flaw`.

    Raises:
        InputError: a column stands twice, a quotation mark is not closed, or one is followed by letters.
    """
    delimiter = layout.delimiter or DELIMITERS[place.suffix]
    quoting = layout.quoting or ("minimal" if place.suffix == ".csv" else "none")
    csv.field_size_limit(MOST_FIELD_CHARACTERS)
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as text:
        lines = _Lines(text, place, comment=layout.comment)
        reader = csv.reader(
            lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if quoting == "none" else csv.QUOTE_MINIMAL, strict=True
        )
        names = unique_names(layout.columns, where=f"{place.where}: option `columns`")
        while (cells := _next_row(reader, lines)) is not None:
            if not cells:  # a blank line
                continue
            if not names:
                names = unique_names(cells, where=place.where)
                continue
            lines.rows += 1
            if lines.number > lines.first + 1:
                _check_lines(cells, lines, delimiter=delimiter, columns=len(names))
            if len(cells) == len(names):
                yield dict(zip(names, cells, strict=True))
            else:
                yield row_of(names, cells, place=lines.place, advice=_advice(names, delimiter, quoting))


class _Lines:
    """The lines of a file, counted, without the comments between rows.

    Attributes:
        number: of the last line that was read, from 1.
        first: number of the line that the present row begins with; 0 between rows.
        rows: rows below the header so far, the present one included.
    """

    def __init__(self, text: io.TextIOBase, file: RowFile, *, comment: str) -> None:
        self._text, self._file, self._comment = text, file, comment
        self.number = self.first = self.rows = 0
        self._returns_end_lines = False

    @property
    def place(self) -> str:
        """Where the present row lies."""
        return f"{self._file.where}: row {self.rows} (line {self.first})"

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._read()
        if self.first:
            if self.number - self.first > MOST_ROW_LINES:
                raise csv.Error(f"a quotation mark opens a text of more than {MOST_ROW_LINES:,} lines")
            return line
        while self._comment and line.startswith(self._comment):
            line = self._read()
        self.first = self.number
        return line

    def _read(self) -> str:
        """The next line; a carriage return alone ends one only in files whose first line it ends."""
        line = next(self._text)
        self.number += 1
        if self.number == 1:
            self._returns_end_lines = line.endswith("\r")
        while line[-1] == "\r" and not self._returns_end_lines:
            line += next(self._text, "\n")
        return line


def _next_row(reader: Iterator[list[str]], lines: _Lines) -> list[str] | None:
    """The fields of the next row; None at the end of the file."""
    lines.first = 0
    try:
        return next(reader, None)
    except csv.Error as error:
        lines.rows += 1
        fault = next((meaning for words, meaning in _MEANINGS.items() if words in str(error)), str(error))
        raise InputError(
            f"{lines.place}: {fault}; {QUOTED_TEXT}. Where marks are plain letters give the option `quoting: none`"
        ) from error


def _check_lines(cells: Sequence[str], lines: _Lines, *, delimiter: str, columns: int) -> None:
    """Refuse a quoted text whose lines look like rows of the file: its mark was never meant to open a text.

    A few such lines may be a poem or an address, so they only give a warning.
    """
    if columns < 2:
        return
    longest = max(cells, key=lambda cell: cell.count("\n") + cell.count("\r"))
    # The first line is of the row that the text stands in. In prose a space comes after a comma, between fields none.
    behind = [line for line in longest.splitlines()[1:] if line.strip()]
    alike = [line.count(delimiter) == columns - 1 and f"{delimiter} " not in line for line in behind]
    if len(alike) < 2 or sum(alike) < 0.9 * len(alike):
        return
    fault = f"{lines.place}: a quotation mark opens a text of {len(alike) + 1} lines that look like rows themselves"
    if len(alike) < max(LEAST_LOOKALIKES, LOOKALIKE_LINES // (columns - 1)):
        logger.warning("%s; look whether the mark is a letter: then double it", fault)
        return
    raise InputError(f"{fault}; {QUOTED_TEXT}. If the text is right, write the file as JSON lines or Parquet")


def _advice(names: Sequence[str], delimiter: str, quoting: str) -> str:
    """What to do where a row has more fields than there are columns."""
    other = next((mark for mark in OTHER_DELIMITERS if mark != delimiter and mark in names[0]), "")
    if len(names) == 1 and other:
        return f"give the option `delimiter: {other!r}`"
    return QUOTED_TEXT if quoting == "minimal" else "take it out of the texts, or quote them: `quoting: minimal`"
