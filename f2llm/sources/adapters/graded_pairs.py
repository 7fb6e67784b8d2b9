"""Generic: rows with two texts and how alike they are, for sts."""

from collections.abc import Iterator

from f2llm.rows.fields import group_of, number_in, text_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Pair, Skipped


def graded_pairs(
    rows: RawRows, *, text: str = "text", other: str = "other", grade: str = "grade", group: str = ""
) -> Iterator[Pair | Skipped]:
    """Yield one pair a row; `text`, `other`, `grade` and `group` are column names.

    Without `group` rows are split by their first text.
    """
    for row in rows.read(text, other, grade, group):
        first, second = (text_of(row.values, column) for column in (text, other))
        number = number_in(text_of(row.values, grade))
        if not first or not second:
            yield Skipped(f"{other if first else text!r} is empty", row.file, row.row)
        elif number is None:
            yield Skipped(f"{grade!r} is not a number", row.file, row.row)
        else:
            split_group = group_of(row.values, group, default=first)
            yield Pair(first, second, number, split_group, row.file, row.row, text, other, row.row)
