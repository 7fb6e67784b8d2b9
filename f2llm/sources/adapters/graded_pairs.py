"""Generic: rows with two texts and how alike they are, for sts."""

from collections.abc import Iterator, Sequence

from f2llm.sources.archives import RawFile
from f2llm.sources.formats.fields import group_of, text_of
from f2llm.sources.formats.rows import Layout, read_rows
from f2llm.sources.records import Pair, Skipped


def graded_pairs(
    files: Sequence[RawFile],
    *,
    text: str = "text",
    other: str = "other",
    grade: str = "grade",
    group: str = "",
    member: str = "",
    columns: Sequence[str] = (),
    delimiter: str = "",
    comment: str = "",
    skip_rows: int = 0,
    encoding: str = "utf-8-sig",
    errors: str = "strict",
) -> Iterator[Pair | Skipped]:
    """Yield one pair a row; `text`, `other`, `grade` and `group` are column names.

    Without `group` rows are split by their first text. The rest is the layout of the file
    (`formats.rows.Layout`).
    """
    layout = Layout(
        member=member, columns=columns, delimiter=delimiter, comment=comment, skip_rows=skip_rows, encoding=encoding,
        errors=errors,
    )  # fmt: skip
    for row in read_rows(files, layout, needed=[text, other, grade, *([group] if group else [])]):
        one, two, given = (text_of(row.values, column) for column in (text, other, grade))
        if not one or not two:
            yield Skipped(f"{other if one else text!r} is empty", row.file, row.row)
        elif not _is_number(given):
            yield Skipped(f"{grade!r} is not a number", row.file, row.row)
        else:
            where = group_of(row.values, group, default=one)
            yield Pair(one, two, float(given), where, row.file, row.row, text, other, row.row)


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < float("inf")
    except ValueError:
        return False
