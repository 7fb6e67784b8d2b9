"""Generic: rows with a query and its positive passage (or several), and passages that are wrong, if given."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from f2llm.records.ids import doc_id
from f2llm.records.words import count_words, first_words
from f2llm.rows.fields import Columns, field_of, group_of, text_of, texts_of
from f2llm.rows.reader import RawRows, Row
from f2llm.sources.records import Passage, Query, Skipped

WILDCARD = "*"


def pairs(
    rows: RawRows,
    *,
    query: Columns = "query",
    positive: Columns = "positive",
    negatives: Sequence[str] = (),
    passages: Sequence[str] = (),
    group: str = "",
    min_words: int = 1,
    max_words: int | None = None,
) -> Iterator[Passage | Query | Skipped]:
    """Yield one query a row with its passages.

    `query`, `positive`, `negatives`, `passages` and `group` are column names; a list of columns
    for `query` or `positive` makes one text. A passage column may hold a list of texts. A name in
    `negatives` may be a pattern ("negative_*"): all columns like it, in the order of the file. Without
    `negatives` the column "negatives" is used if there is one. Texts of the columns `passages` only
    join the corpus. Without `group` rows are split by their first positive. Positives under
    `min_words` are left out, passages are cut to `max_words`.
    """
    named = [name for name in negatives if WILDCARD not in name]
    for row in rows.read(query, positive, *named, *passages, group):
        text, right = text_of(row.values, query), texts_of(row.values, positive)
        long_enough = [passage for passage in right if count_words(passage) >= min_words]
        if not text or not right or not long_enough:
            column = field_of(positive if text else query)
            fault = f"has under {min_words} words" if text and right else "is empty"
            yield Skipped(f"{column!r} {fault}", row.file, row.row)
            continue
        given = {name: texts_of(row.values, name) for name in _columns(row, negatives or ["negatives"])}
        others = {name: texts_of(row.values, name) for name in passages}
        yield from _passages({field_of(positive): long_enough} | given | others, row, max_words)
        wrong = [passage for texts in given.values() for passage in texts]
        keys = [tuple(_key(passage, max_words) for passage in texts) for texts in (long_enough, wrong)]
        split_group = group_of(row.values, group, default=long_enough[0])
        yield Query(text, *keys, split_group, row.file, row.row, field_of(query))


def _columns(row: Row, names: Sequence[str]) -> Iterator[str]:
    """Yield the names themselves, and in place of a pattern the columns that match it."""
    for name in names:
        yield from [column for column in row.values if fnmatchcase(column, name)] if WILDCARD in name else [name]


def _passages(texts_of_column: dict[str, Sequence[str]], row: Row, max_words: int | None) -> Iterator[Passage]:
    for column, passages in texts_of_column.items():
        for passage in passages:
            yield Passage(_key(passage, max_words), _cut(passage, max_words), row.file, row.row, column)


def _cut(passage: str, max_words: int | None) -> str:
    return passage if max_words is None else first_words(passage, max_words)


def _key(passage: str, max_words: int | None) -> str:
    return doc_id(_cut(passage, max_words)).hex()
