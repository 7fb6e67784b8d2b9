"""Fields of generic rows: what is text, what is missing, and how groups are written."""

from collections.abc import Mapping
from typing import Any

from f2llm.sources.formats.words import one_line


def text_of(values: Mapping[str, Any], column: str) -> str:
    """Return the text of a column without outer white space; "" where it is missing, null or no text.

    Numbers and truth values are written as text, so that labels may be numbers.
    """
    value = values.get(column)
    if isinstance(value, bool | int | float):
        return str(value)
    return value.strip() if isinstance(value, str) else ""


def texts_of(values: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return the texts of a column that holds one text or a list of texts; empty ones are left out."""
    value = values.get(column)
    texts = [item.strip() for item in value if isinstance(item, str)] if isinstance(value, list) else []
    return tuple(text for text in texts or [text_of(values, column)] if text)


def group_of(values: Mapping[str, Any], column: str, *, default: str) -> str:
    """Return what the split is grouped by: the column, or `default`, on one line and casefolded.

    Sources that name the same thing in the same words then agree on its split.
    """
    return one_line(text_of(values, column) if column else default).casefold()
