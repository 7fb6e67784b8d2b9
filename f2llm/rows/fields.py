"""Fields of rows: which column, what is text, what is missing, how numbers and groups are written. And text cleaning.

A column may be a path into nested values: "answers.text" is the key `text` of `answers`, of each of
them where that is a list. Several columns ("title" and "text") make one text.
"""

import ast
import io
import math
import tokenize
from collections.abc import Mapping, Sequence
from typing import Any

from f2llm.records.text_keys import is_empty, without_ignorable
from f2llm.rows.json_rows import parse_json

Columns = str | Sequence[str]
EXACT = 2**53  # whole numbers up to here are exact as floats
# A truth value has one spelling, whatever wrote it: Python (True), a spreadsheet (TRUE), JSON (true).
_TRUTH = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}


class FieldError(ValueError):
    """A column holds what is no text; the message names it, and the caller adds the row."""


def names_of(columns: Columns) -> list[str]:
    """The names of one column or of several."""
    return [columns] if isinstance(columns, str) else list(columns)


def field_of(columns: Columns) -> str:
    """How the tables name the field that a text came from: "title+text"."""
    return "+".join(names_of(columns))


def has_column(values: Mapping[str, Any], name: str) -> bool:
    """Whether the row has the column, or the one that the path begins with."""
    return name in values or name.split(".")[0] in values


def value_of(values: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - a value of a row
    """Value of a column or at the end of a path; a list where the path crosses one; None if missing."""
    if name in values or "." not in name:
        return values.get(name)
    head, rest = name.split(".", 1)
    nested = values.get(head)
    if isinstance(nested, list):
        return [value_of(item, rest) for item in nested if isinstance(item, Mapping)]
    return value_of(nested, rest) if isinstance(nested, Mapping) else None


def text_of(values: Mapping[str, Any], columns: Columns) -> str:
    """The text of a column without outer white space; "" where it is missing or null.

    Numbers and truth values are written as text, so that labels may be numbers: a whole number without a point,
    true and false. Lists of texts and several columns are joined by a space.

    Raises:
        FieldError: the column holds bytes, objects or times.
    """
    if isinstance(columns, str):
        return _text(value_of(values, columns), columns)
    return " ".join(text for text in (_text(value_of(values, name), name) for name in columns) if text)


def texts_of(values: Mapping[str, Any], columns: Columns) -> tuple[str, ...]:
    """The texts of a column that holds one text or a list of texts; empty ones are left out.

    Several columns make one text.
    """
    value = value_of(values, columns) if isinstance(columns, str) else None
    texts = [_text(item, field_of(columns)) for item in value] if isinstance(value, list) else []
    return tuple(text for text in texts or [text_of(values, columns)] if text)


def label_of(text: object) -> str:
    """The one spelling of a label: "true" for True and TRUE, the text itself for all others."""
    return _TRUTH.get(str(text), str(text))


def list_in(text: str) -> list[Any] | None:
    """The list that a text spells in JSON or as Python writes it; None for any other text. No code is run."""
    for parse in (parse_json, _parse_literal):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError):
            continue
        return value if isinstance(value, list) else None
    return None


def _parse_literal(text: str) -> Any:  # noqa: ANN401 - a literal of Python
    """The value of a literal; texts side by side, as numpy writes them, are not joined to one.

    Raises:
        ValueError: no literal, or texts without a comma between them. Also what the parser raises.
    """
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.string.strip()]
    if any(first == second == tokenize.STRING for first, second in zip(kinds, kinds[1:], strict=False)):
        raise ValueError("texts without a comma between them")
    return ast.literal_eval(text)


def group_of(values: Mapping[str, Any], column: str, *, default: str) -> str:
    """Group that decides the split: the text of the column, or `default`, as it is displayed, on one line, casefolded.

    Sources that name the same thing in the same words then agree on its split.
    """
    return one_line(without_ignorable(text_of(values, column) if column else default)).casefold()


def structs_of(value: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 - a value of a row
    """A list of structs as it is, and a struct of lists of one length as a list of structs."""
    if isinstance(value, Mapping):
        columns = [column if isinstance(column, list) else [column] for column in value.values()]
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def one_line(text: str | None) -> str:
    """The text with all white space collapsed to single spaces; "" for None."""
    return " ".join((text or "").split())


def number_in(text: str) -> float | None:
    """The finite number that a text spells; None for any other text."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def number_text(number: bool | int | float) -> str:
    """A number or truth value as text: whole ones without a point, so that 1 and 1.0 are one label."""
    if isinstance(number, bool):
        return "true" if number else "false"
    if isinstance(number, float) and number.is_integer() and abs(number) < EXACT:
        return str(int(number))
    return str(number) if math.isfinite(number) else ""


def _text(value: Any, column: str) -> str:  # noqa: ANN401 - a value of a row
    if isinstance(value, str):
        return "" if is_empty(value) else value.strip()
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return number_text(value)
    if isinstance(value, list):
        return " ".join(text for text in (_text(item, column) for item in value) if text)
    kind = {"dict": "objects", "bytes": "bytes"}.get(type(value).__name__, f"values of the type {type(value).__name__}")
    advice = f"name what is inside it, as '{column}.key'" if isinstance(value, dict) else "write it as text"
    raise FieldError(f"the column {column!r} holds {kind}, no text; {advice}")
