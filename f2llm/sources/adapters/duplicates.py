"""Two texts of one meaning, each a query for the other: duplicates, and graded pairs above a threshold."""

from collections.abc import Iterator, Sequence

from f2llm.records.ids import doc_id
from f2llm.rows.fields import group_of, label_of, number_in, text_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Passage, Query, Skipped


def duplicates(
    rows: RawRows,
    *,
    text: str = "text",
    other: str = "other",
    label: str = "",
    same: Sequence[str] = (),
    grade: str = "",
    least: float | None = None,
    group: str = "",
) -> Iterator[Passage | Query | Skipped]:
    """Yield both texts of a row as passages and, where they mean the same, each as a query for the other.

    They mean the same when the column `label` holds one of `same` and the column `grade` at least
    `least`, as far as these are given. Other pairs only join the corpus. (F2LLM, arXiv 2510.02294:
    sentence pairs with a score of at least 4, both directions.) Without `group` rows are split by
    the smaller text.
    """
    labels = set(map(label_of, same))
    for row in rows.read(text, other, label, grade, group):
        first, second = text_of(row.values, text), text_of(row.values, other)
        if not first or not second:
            yield Skipped(f"{other if first else text!r} is empty", row.file, row.row)
            continue
        keys = doc_id(first).hex(), doc_id(second).hex()
        yield Passage(keys[0], first, row.file, row.row, text)
        yield Passage(keys[1], second, row.file, row.row, other)
        score = number_in(text_of(row.values, grade)) if grade else None
        if grade and score is None:
            yield Skipped(f"{grade!r} is not a number", row.file, row.row)
        elif keys[0] == keys[1]:
            yield Skipped("the two texts are equal", row.file, row.row)
        elif (label and label_of(text_of(row.values, label)) not in labels) or (grade and score < (least or 0)):
            yield Skipped("the two texts do not mean the same", row.file, row.row)
        else:
            split_group = group_of(row.values, group, default=min(first, second))
            yield Query(first, keys[1:], (), split_group, row.file, row.row, text)
            yield Query(second, keys[:1], (), split_group, row.file, row.row, other)
