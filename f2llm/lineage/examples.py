"""A few rows of each kind with their texts, drawn by keyed hash, for a person to read."""

from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from f2llm.lineage.curation import Clusters, read_clusters
from f2llm.lineage.layout import Layout
from f2llm.lineage.marked import Piece, side_by_side
from f2llm.lineage.rows import rows_at
from f2llm.records.ids import keyed_hash
from f2llm.records.tables import count_rows, read_batches, read_table

TUPLES_SHOWN = 25
REMOVED_SHOWN = 2
MOST_CHARACTERS = 300
MOST_READ = 40_000  # characters of a text that is compared with another


class RemovedExample(NamedTuple):
    """A removed row, why, and what stands in for it or was hit."""

    role: str
    stage: str
    reason: str
    text: list[Piece]
    kept_text: list[Piece]  # empty where nothing stands in
    evidence: str
    similarity: float | None


class ClusterExample(NamedTuple):
    """The clusters of a source and the text that was kept of the largest."""

    found: Clusters
    largest_text: str


class NegativeExample(NamedTuple):
    """A hard negative of a shown tuple."""

    text: str
    kind: str
    score: float | None
    rank: int | None


class TupleExample(NamedTuple):
    """A training tuple with its texts."""

    tuple_id: str
    query: str
    positive: str
    score: float | None
    rank: int | None
    negatives: list[NegativeExample]


def removed_examples(layout: Layout, source: str) -> list[RemovedExample]:
    """Return up to two removed rows of each role, stage and reason, except those of the sampling cap."""
    rows = read_table(layout.curated(source) / "removed.parquet")
    rows = rows.filter(pc.not_equal(rows["stage"], "sample")).to_pylist()
    shown: dict[tuple, list[dict]] = {}
    for row in sorted(rows, key=lambda row: keyed_hash(0, "example", row["id"])):
        kind = shown.setdefault((row["role"], row["stage"], row["reason"]), [])
        if len(kind) < REMOVED_SHOWN:
            kind.append(row)
    chosen = [row for kind in sorted(shown) for row in shown[kind]]
    wanted = {row["id"] for row in chosen} | {row["kept_id"] for row in chosen if row["kept_id"]}
    texts = shown_rows(layout.source(source) / "corpus.parquet", "doc_id", wanted, most=MOST_READ)
    texts |= shown_rows(layout.source(source) / "queries.parquet", "query_id", wanted, most=MOST_READ)
    return [
        RemovedExample(
            row["role"],
            row["stage"],
            row["reason"],
            *_beside(texts.get(row["id"], ""), texts.get(row["kept_id"])),
            row["evidence"] or "",
            row["similarity"],
        )
        for row in chosen
    ]


def cluster_example(layout: Layout, source: str) -> ClusterExample:
    """Return the clusters of copies in a source and the text of the largest."""
    found = read_clusters(layout, source)
    texts = {}
    for table, column in (("corpus", "doc_id"), ("queries", "query_id")) if found.largest_id else ():
        texts |= shown_rows(layout.source(source) / f"{table}.parquet", column, {found.largest_id})
    return ClusterExample(found, texts.get(found.largest_id, ""))


def _beside(text: str, kept: str | None) -> tuple[list[Piece], list[Piece]]:
    if kept is None:
        return [Piece(text[:MOST_CHARACTERS], False)], []
    return side_by_side(text, kept)


def tuple_examples(layout: Layout, source: str) -> list[TupleExample]:
    """Return some tuples of a source with the texts of query, positive and negatives.

    They stand evenly spaced in a table that is sorted by a hash, which is a random sample of it.
    """
    path = layout.mined(source) / "tuples.parquet"
    count = count_rows(path)
    shown, first, rows = min(count, TUPLES_SHOWN), 0, []
    wanted = [number * count // shown for number in range(shown)]
    for batch in read_batches(path):
        rows += batch.take([at - first for at in wanted if first <= at < first + len(batch)]).to_pylist()
        first += len(batch)
    queries = _shown(layout.curated(source) / "queries.parquet", "query_id", {row["query_row"] for row in rows})
    passages = _shown(
        layout.curated(source) / "corpus.parquet",
        "doc_id",
        {at for row in rows for at in (row["positive_row"], *row["negative_rows"])},
    )
    return [
        TupleExample(
            row["tuple_id"].hex(),
            queries[row["query_row"]],
            passages[row["positive_row"]],
            row["positive_score"],
            row["positive_rank"],
            [
                NegativeExample(passages[at], kind, score, rank)
                for at, kind, score, rank in zip(
                    row["negative_rows"],
                    row["negative_kinds"],
                    row["negative_scores"],
                    row["negative_ranks"],
                    strict=True,
                )
            ],
        )
        for row in rows
    ]


def shown_rows(path: Path, column: str, wanted: set[bytes], *, most: int = MOST_CHARACTERS) -> dict[bytes, str]:
    """Return id -> text, cut to `most` characters, of the rows whose `column` is among `wanted`."""
    found = {}
    for batch in read_batches(path, columns=[column, "text"]):
        for identity, text in zip(batch[column].to_pylist(), batch["text"].to_pylist(), strict=True):
            if identity in wanted:
                found[identity] = text[:most]
    return found


def _shown(path: Path, column: str, wanted: set[int]) -> dict[int, str]:
    return {at: text[:MOST_CHARACTERS] for at, (_, text) in rows_at(path, column, wanted).items()}
