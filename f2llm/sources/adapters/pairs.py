"""Generic: rows with a query and its positive passage (or several), and passages that are wrong, if given."""

from collections.abc import Iterator, Sequence

from f2llm.records.ids import doc_id
from f2llm.sources.archives import RawFile
from f2llm.sources.formats.fields import group_of, text_of, texts_of
from f2llm.sources.formats.rows import Layout, Row, read_rows
from f2llm.sources.formats.words import first_words
from f2llm.sources.records import Passage, Query, Skipped


def pairs(
    files: Sequence[RawFile],
    *,
    query: str = "query",
    positive: str = "positive",
    negatives: Sequence[str] = (),
    group: str = "",
    min_words: int = 1,
    max_words: int | None = None,
    member: str = "",
    columns: Sequence[str] = (),
    delimiter: str = "",
    comment: str = "",
    skip_rows: int = 0,
    encoding: str = "utf-8-sig",
    errors: str = "strict",
) -> Iterator[Passage | Query | Skipped]:
    """Yield one query a row with its passages.

    `query`, `positive`, `negatives` and `group` are column names; a passage column may hold a list of
    texts. Without `negatives` the column "negatives" is used if there is one. Without `group` rows
    are split by their first positive. Positives under `min_words` are left out, passages are cut to
    `max_words`. The rest is the layout of the file (`formats.rows.Layout`).
    """
    layout = Layout(
        member=member, columns=columns, delimiter=delimiter, comment=comment, skip_rows=skip_rows, encoding=encoding,
        errors=errors,
    )  # fmt: skip
    needed = [query, positive, *negatives, *([group] if group else [])]
    for row in read_rows(files, layout, needed=needed):
        text, right = text_of(row.values, query), texts_of(row.values, positive)
        long_enough = [passage for passage in right if len(passage.split()) >= min_words]
        if not text or not right or not long_enough:
            column = query if not text else positive
            short = text and right
            yield Skipped(
                f"{column!r} has under {min_words} words" if short else f"{column!r} is empty", row.file, row.row
            )
            continue
        found = {positive: long_enough} | {name: texts_of(row.values, name) for name in negatives or ["negatives"]}
        wrong = [passage for name in found if name != positive for passage in found[name]]
        yield from _passages(found, row, max_words)
        keys = [tuple(_key(passage, max_words) for passage in passages) for passages in (long_enough, wrong)]
        where = group_of(row.values, group, default=long_enough[0])
        yield Query(text, *keys, where, row.file, row.row, query)


def _passages(found: dict[str, Sequence[str]], row: Row, max_words: int | None) -> Iterator[Passage]:
    for column, passages in found.items():
        for passage in passages:
            yield Passage(_key(passage, max_words), _cut(passage, max_words), row.file, row.row, column)


def _cut(passage: str, max_words: int | None) -> str:
    return passage if max_words is None else first_words(passage, max_words)


def _key(passage: str, max_words: int | None) -> str:
    return doc_id(_cut(passage, max_words)).hex()
