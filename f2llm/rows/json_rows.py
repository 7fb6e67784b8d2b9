"""Rows of JSON, in lines or as one list: objects, or lists whose entries the option `columns` names."""

import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import Any, TextIO

from f2llm.records.errors import InputError
from f2llm.rows.layout import JSON_LINES, NOT_UNICODE, Flaw, RowFile, RowLayout, Values, row_of, unique_names

READ_CHARACTERS = 1 << 20
LONGEST_MARK = 12  # characters of "\\ud83d\\ude00", the longest mark whose beginning alone is no JSON
_OPEN = "Unterminated string"
_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a pair, or a pair, as an escape


def json_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of JSON; what is no row as a broken `Flaw`, half a surrogate pair as one of the row.

    NaN and infinities are missing values. Of a list as of lines, no more than one row is held in memory.

    Raises:
        InputError: a list is not closed, or something stands between its entries.
    """
    unique_names(layout.columns, where=f"{place.where}: option `columns`")
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as text:
        head: list[str] = []  # up to the first line that is not blank
        if place.suffix not in JSON_LINES:
            while not "".join(head[-1:]).strip() and (line := text.readline(READ_CHARACTERS)):
                head.append(line)
            if head and _is_list(head[-1], layout):
                yield from _entries(_Window("".join(head), text), place.where, layout)
                return
            if head and len(head[-1]) == READ_CHARACTERS and head[-1][-1] not in "\r\n":
                head[-1] += text.readline()
        for number, line in enumerate(itertools.chain(head, text), 1):
            if line.strip():
                yield _row(line, place=f"{place.where}: line {number}", layout=layout)


def parse_json(text: str) -> Any:  # noqa: ANN401 - JSON is the border
    """The value of a JSON text; NaN and infinities are None.

    Raises:
        ValueError: no JSON, nested too deeply, or an object has a key twice.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _is_list(line: str, layout: RowLayout) -> bool:
    """Whether the first line of a .json file begins one list of rows, and is not itself a row that is a list."""
    if not line.lstrip().startswith("["):
        return False
    if not layout.columns:
        return True
    try:
        return any(isinstance(entry, dict | list) for entry in parse_json(line))
    except ValueError:
        return True


class _Window:
    """The part of a text that is being parsed: what lies before it is forgotten, what comes after it not read yet.

    Attributes:
        line: number of the line that the window begins in, from 1.
    """

    def __init__(self, head: str, rest: TextIO) -> None:
        self._text, self._rest, self._position, self.line = head, rest, 0, 1

    def next(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            self.advance(_SPACE.match(self._text, self._position).end())  # type: ignore[union-attr] - it may be empty
            if self._position < len(self._text) or not self._more():
                return self._text[self._position : self._position + 1]

    def advance(self, position: int | None = None) -> None:
        """Begin at a later position of the text, or behind the next character."""
        position = self._position + 1 if position is None else position
        self.line += self._text.count("\n", self._position, position)
        self._position = position

    def value(self) -> tuple[Any, str]:
        """The JSON value that the window begins with, and its text; then begin behind it.

        Raises:
            ValueError: no JSON, or an object has a key twice.
            RecursionError: nested too deeply.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                # A value that is cut is read on; what cannot be the beginning of one is not.
                wrong = error.pos < len(self._text) - LONGEST_MARK and not error.msg.startswith(_OPEN)
                if wrong or not self._more():
                    raise ValueError(error.msg) from error
                continue
            if end < len(self._text) or not self._more():  # a number at the end may go on
                text = self._text[self._position : end]
                self.advance(end)
                return value, text

    def _more(self) -> bool:
        """Read as much again as is there, in place of what is done with; False at the end of the file."""
        block = self._rest.read(max(READ_CHARACTERS, len(self._text) - self._position))
        if block:
            self._text, self._position = self._text[self._position :] + block, 0
        return bool(block)


def _entries(window: _Window, where: str, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the entries of one list, each parsed by itself, so that a fault has its line."""
    window.next()
    window.advance()  # behind the bracket
    number = 0
    while window.next() != "]":
        place = f"{where}: entry {number} (line {window.line})"
        try:
            value, text = window.value()
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not JSON ({error}); mend the file") from error
        yield _checked(value, text, place=place, layout=layout)
        number += 1
        mark = window.next()
        if mark == ",":
            window.advance()
        elif mark != "]":
            raise InputError(f"{place}: neither a comma nor the end of the list comes after it; mend the file")
    window.advance()
    if window.next():
        raise InputError(f"{where}: something comes after the end of the list; mend the file, or call it .jsonl")


def _row(line: str, *, place: str, layout: RowLayout) -> Values | Flaw:
    try:
        value = parse_json(line)
    except ValueError as error:
        return Flaw(f"{place}: not a JSON object ({error}); mend that line", {}, broken=True)
    return _checked(value, line, place=place, layout=layout)


def _checked(value: Any, text: str, *, place: str, layout: RowLayout) -> Values | Flaw:  # noqa: ANN401 - of JSON
    if isinstance(value, list) and layout.columns:
        value = row_of(layout.columns, value, place=place, advice="name all entries in the option `columns`")
    if not isinstance(value, dict):
        if isinstance(value, Flaw):
            return value
        named = ", or name its entries in the stanza's option `columns`" if isinstance(value, list) else ""
        return Flaw(f"{place}: not a JSON object ({text.strip()[:40]!r}); write {{...}}{named}", {}, broken=True)
    if _SURROGATE.search(text) and not _is_unicode(value):
        return Flaw(NOT_UNICODE, value)
    return value


def _is_unicode(value: dict[str, Any]) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return values


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=lambda _: None)
