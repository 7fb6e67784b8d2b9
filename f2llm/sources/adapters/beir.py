"""A retrieval benchmark in BEIR's layout: files of passages, of queries, and of judgements for one split."""

from collections import defaultdict
from collections.abc import Iterator

from f2llm.rows.fields import Columns, field_of, names_of, number_in, text_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Passage, Query, Skipped

QUERY_ID, PASSAGE_ID, SCORE = "query-id", "corpus-id", "score"


def beir(
    rows: RawRows,
    *,
    corpus: str = "*corpus*",
    queries: str = "*queries*",
    qrels: str = "*qrels*",
    id: str = "_id",  # noqa: A002 - the name of the option
    text: Columns = ("title", "text"),
    least: float = 1,
) -> Iterator[Passage | Query | Skipped]:
    """Yield all passages, and the queries that have a judgement of at least `least` in the files `qrels`.

    `corpus`, `queries` and `qrels` are patterns of file names. `text` are the columns that make a
    passage, of which only the last must be there. The judgements of the split are held in memory.
    Split by the smallest id of a positive.
    """
    positives: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows.read(QUERY_ID, PASSAGE_ID, SCORE, pattern=qrels):
        query, passage = text_of(row.values, QUERY_ID), text_of(row.values, PASSAGE_ID)
        if (number_in(text_of(row.values, SCORE)) or 0) >= least:
            positives[query].append(passage)
        else:
            yield Skipped("passage is judged not to be relevant", row.file, row.row)
    for row in rows.read(id, "text", pattern=queries):
        judged = tuple(positives.get(text_of(row.values, id), ()))
        if judged:
            yield Query(text_of(row.values, "text"), judged, (), min(judged), row.file, row.row, "text")
        else:
            yield Skipped("query has no relevant passage in this split", row.file, row.row)
    for row in rows.read(id, names_of(text)[-1], pattern=corpus):
        yield Passage(text_of(row.values, id), text_of(row.values, text), row.file, row.row, field_of(text))
