"""Rows of JSON, in lines or as one list: objects, or lists whose entries the option `columns` names."""

import itertools
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from f2llm.errors import InputError
from f2llm.rows.layout import JSON_LINES, NOT_UNICODE, Flaw, RowFile, RowLayout, Values, row_of, unique_names

_SPACE = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half a pair, or a pair, as an escape


def json_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of JSON; what is no row as a broken `Flaw`, half a surrogate pair as one of the row.

    NaN and infinities are missing values. A list is held in memory as text, lines are not.

    Raises:
        InputError: a list is not closed, or something stands between its entries.
    """
    unique_names(layout.columns, where=f"{place.where}: option `columns`")
    with place.file.text(place.member, encoding=layout.encoding, errors=layout.errors) as text:
        head: list[str] = []  # up to the first line that is not blank
        if place.suffix not in JSON_LINES:
            for line in text:
                head.append(line)
                if line.strip():
                    break
            if head and _is_list(head[-1], layout):
                yield from _entries("".join([*head, text.read()]), place.where, layout)
                return
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


def _entries(text: str, where: str, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the entries of one list, each parsed by itself, so that a fault has its line."""
    position, number = _after_space(text, text.index("[") + 1), 0
    while text[position : position + 1] != "]":
        place = f"{where}: entry {number} (line {text.count(chr(10), 0, position) + 1})"
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not JSON ({error}); mend the file") from error
        yield _checked(value, text[position:end], place=place, layout=layout)
        number, position = number + 1, _after_space(text, end)
        if text[position : position + 1] == ",":
            position = _after_space(text, position + 1)
        elif text[position : position + 1] != "]":
            raise InputError(f"{place}: neither a comma nor the end of the list comes after it; mend the file")
    if text[position + 1 :].strip():
        raise InputError(f"{where}: something comes after the end of the list; mend the file, or call it .jsonl")


def _after_space(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr] - it matches the empty text, too


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
