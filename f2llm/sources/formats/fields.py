"""Fields of generic rows: which column, what is text, what is missing, how groups are written. And text cleaning.

A column may be a path into nested values: "answers.text" is the key `text` of `answers`, of each of
them where that is a list. Several columns ("title" and "text") make one text.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from f2llm.records.text_keys import without_ignorable

Columns = str | Sequence[str]


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
    """The text of a column without outer white space; "" where it is missing, null or no text.

    Numbers and truth values are written as text, so that labels may be numbers. Lists of texts and
    several columns are joined by a space.
    """
    if isinstance(columns, str):
        return _text(value_of(values, columns))
    return " ".join(text for text in (_text(value_of(values, name)) for name in columns) if text)


def texts_of(values: Mapping[str, Any], columns: Columns) -> tuple[str, ...]:
    """The texts of a column that holds one text or a list of texts; empty ones are left out.

    Several columns make one text.
    """
    value = value_of(values, columns) if isinstance(columns, str) else None
    texts = [item.strip() for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return tuple(text for text in texts or [text_of(values, columns)] if text)


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


def _text(value: Any) -> str:  # noqa: ANN401 - a value of a row
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, list):
        return " ".join(item.strip() for item in value if isinstance(item, str) and item.strip())
    return value.strip() if isinstance(value, str) else ""
