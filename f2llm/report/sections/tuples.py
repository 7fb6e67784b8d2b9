"""Section: a random sample of the tuples of each source, and of the pairs that gave none, with all texts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from f2llm.records.tables import count_rows, read_batches
from f2llm.report.excerpts import shown_rows, texts_at
from f2llm.report.parts import REASONS, ReportedRun, Section, read_each
from f2llm.report.tables import COUNT, LONG, SCORE, TEXT, ReportTable, columns
from f2llm.runs.layout import Layout

TUPLES_SHOWN = 25  # of a source, where the sources are few
MOST_TUPLES = 400  # of all sources, but FEWEST_SHOWN of each
FEWEST_SHOWN = 4
MOST_NEGATIVES = 10  # of a shown tuple
REJECTED_SHOWN = 8  # pairs of a source for each reason
TUPLES = (
    *columns(TEXT, "source", tuple_id="tuple"),
    *columns(TEXT, "kind"),  # query | positive | mined | given | drawn
    *columns(LONG, "text"),
    *columns(SCORE, "score"),
    *columns(COUNT, "rank"),
)
REJECTED = (
    *columns(TEXT, "source", reason="why"),
    *columns(LONG, "query", "positive"),
    *columns(SCORE, "score"),
    *columns(COUNT, "rank", "candidates", kept="passed"),
)


class TupleText(NamedTuple):
    """A text of a shown tuple, with the retriever's score and rank of it."""

    kind: str  # query | positive | mined | given | drawn
    text: str
    score: float | None = None
    rank: int | None = None


class TupleExample(NamedTuple):
    """A training tuple with its texts: the query, the positive, then hard negatives."""

    tuple_id: str
    texts: list[TupleText]
    unshown: int  # negatives that are not among them


def tuples_shown(sources: int) -> int:
    """How many tuples of each of `sources` sources are shown, so that the page stays small."""
    return max(FEWEST_SHOWN, min(TUPLES_SHOWN, MOST_TUPLES // max(1, sources)))


def tuple_examples(layout: Layout, source: str, *, most: int) -> list[TupleExample]:
    """Up to `most` tuples of a source with the texts of query, positive and negatives.

    They stand evenly spaced in a table that is sorted by a hash, which is a random sample of it.
    """
    path = layout.mined(source) / "tuples.parquet"
    count = count_rows(path)
    shown, first, rows = min(count, most), 0, []
    places = [number * count // shown for number in range(shown)]
    for batch in read_batches(path):
        rows += batch.take([place - first for place in places if first <= place < first + len(batch)]).to_pylist()
        first += len(batch)
    queries = texts_at(layout.curated(source) / "queries.parquet", "query_id", {row["query_row"] for row in rows})
    passage_rows = {place for row in rows for place in (row["positive_row"], *row["negative_rows"][:MOST_NEGATIVES])}
    passages = texts_at(layout.curated(source) / "corpus.parquet", "doc_id", passage_rows)
    return [
        TupleExample(
            row["tuple_id"].hex(),
            [TupleText("query", queries[row["query_row"]]), *_passages(row, passages)],
            max(0, len(row["negative_rows"]) - MOST_NEGATIVES),
        )
        for row in rows
    ]


def rejected_examples(layout: Layout, source: str) -> list[tuple]:
    """A few pairs of each reason with their texts: rows of REJECTED."""
    taken: Counter[str] = Counter()
    chosen = []
    for batch in read_batches(layout.mined(source) / "rejected.parquet"):
        for row in batch.to_pylist():
            if taken[row["reason"]] < REJECTED_SHOWN:
                taken[row["reason"]] += 1
                chosen.append(row)
    chosen.sort(key=lambda row: (row["reason"], row["query_id"]))
    queries = shown_rows(layout.curated(source) / "queries.parquet", "query_id", {row["query_id"] for row in chosen})
    passages = shown_rows(layout.curated(source) / "corpus.parquet", "doc_id", {row["positive_id"] for row in chosen})
    return [
        (
            source,
            REASONS.get(row["reason"], row["reason"]),
            queries.get(row["query_id"], ""),
            passages.get(row["positive_id"], ""),
            *(row[name] for name in ("positive_score", "positive_rank", "candidates", "kept")),
        )
        for row in chosen
    ]


def tuples_section(run: ReportedRun) -> Section:
    """A sample of tuples, and of pairs that gave none, with all texts."""
    layout, names = run.layout, [row.source for row in run.funnel if row.tuples is not None]
    most = tuples_shown(len(layout.sources))
    examples = read_each(run, names, lambda name: tuple_examples(layout, name, most=most), what="tuples")
    rejected = read_each(run, names, lambda name: rejected_examples(layout, name), what="pairs without a tuple")
    tables = {
        "tuples": ReportTable(
            TUPLES,
            [(name, shown.tuple_id, *text) for name in examples for shown in examples[name] for text in shown.texts],
        ),
        "rejected": ReportTable(REJECTED, [pair for pairs in rejected.values() for pair in pairs]),
    }
    also = ("tuples.parquet and rejected.parquet below results/mined",)
    return Section(tables, {}, {"examples": examples, "rejected": rejected}, also)


def _passages(row: Mapping[str, Any], passages: Mapping[int, str]) -> Iterator[TupleText]:
    """Yield the positive of a tuple and its first negatives."""
    yield TupleText("positive", passages[row["positive_row"]], row["positive_score"], row["positive_rank"])
    negatives = zip(*(row[f"negative_{name}"] for name in ("kinds", "rows", "scores", "ranks")), strict=True)
    for kind, place, score, rank in islice(negatives, MOST_NEGATIVES):
        yield TupleText(kind, passages[place], score, rank)
