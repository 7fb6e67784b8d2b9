"""Question with the passages that were judged for it, nested in its row (MIRACL, Mr. TyDi)."""

from collections.abc import Iterator

from f2llm.records.ids import doc_id
from f2llm.rows.fields import Columns, field_of, group_of, structs_of, text_of, value_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Passage, Query, Skipped


def nested_passages(
    rows: RawRows,
    *,
    query: str = "query",
    positives: str = "positive_passages",
    passages: str = "",
    text: Columns = ("title", "text"),
) -> Iterator[Passage | Query | Skipped]:
    """Yield one query a row with its positives; the passages of the column `passages` only join the corpus.

    Both columns hold lists of structs, of which `text` are the fields that make a passage. Split by
    question.
    """
    for row in rows.read(query, positives, passages):
        question = text_of(row.values, query)
        texts_of_column: dict[str, list[str]] = {}
        for column in filter(None, (positives, passages)):
            texts = [text_of(struct, text) for struct in structs_of(value_of(row.values, column))]
            texts_of_column[column] = [passage for passage in texts if passage]
            for passage in texts_of_column[column]:
                yield Passage(doc_id(passage).hex(), passage, row.file, row.row, f"{column}.{field_of(text)}")
        if not question or not texts_of_column[positives]:
            yield Skipped(f"{positives if question else query!r} is empty", row.file, row.row)
        else:
            keys = tuple(doc_id(passage).hex() for passage in texts_of_column[positives])
            yield Query(question, keys, (), group_of(row.values, query, default=question), row.file, row.row, query)
