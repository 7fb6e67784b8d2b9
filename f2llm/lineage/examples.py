"""A few rows of each kind with their texts, drawn by keyed hash, for a person to read."""

from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from f2llm.lineage.curation import Clusters, read_clusters
from f2llm.lineage.layout import Layout
from f2llm.lineage.marked import Piece, side_by_side
from f2llm.lineage.rows import rows_at
from f2llm.records.tables import count_rows, read_batches

TUPLES_SHOWN = 25  # of a source, where the sources are few
MOST_TUPLES = 400  # of all sources, but FEWEST_SHOWN of each
FEWEST_SHOWN = 4
MOST_NEGATIVES = 10  # of a shown tuple
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
    unshown: int  # negatives that are not among them


def removed_examples(layout: Layout, source: str) -> list[RemovedExample]:
    """Return up to two removed rows of each role, stage and reason, except those of the sampling cap."""
    chosen = _chosen(layout.curated(source) / "removed.parquet")
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


def _chosen(path: Path) -> list[dict[str, Any]]:
    """Return the first rows of each role, stage and reason: by id, which is a hash, so they are a random sample."""
    shown: dict[tuple, list[dict[str, Any]]] = {}
    for batch in read_batches(path):
        kinds = pc.binary_join_element_wise(batch["role"], batch["stage"], batch["reason"], "/").dictionary_encode()
        codes = kinds.indices.to_numpy()
        for code in range(len(kinds.dictionary)):
            for row in batch.take(np.flatnonzero(codes == code)[:REMOVED_SHOWN]).to_pylist():
                kind = shown.setdefault((row["role"], row["stage"], row["reason"]), [])
                if row["stage"] != "sample" and len(kind) < REMOVED_SHOWN:
                    kind.append(row)
    return [row for kind in sorted(shown) for row in shown[kind]]


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


def tuples_shown(sources: int) -> int:
    """Return how many tuples of each of so many sources are shown, so that the page stays small."""
    return max(FEWEST_SHOWN, min(TUPLES_SHOWN, MOST_TUPLES // max(1, sources)))


def tuple_examples(layout: Layout, source: str, *, most: int) -> list[TupleExample]:
    """Return up to `most` tuples of a source with the texts of query, positive and negatives.

    They stand evenly spaced in a table that is sorted by a hash, which is a random sample of it.
    """
    path = layout.mined(source) / "tuples.parquet"
    count = count_rows(path)
    shown, first, rows = min(count, most), 0, []
    wanted = [number * count // shown for number in range(shown)]
    for batch in read_batches(path):
        rows += batch.take([at - first for at in wanted if first <= at < first + len(batch)]).to_pylist()
        first += len(batch)
    queries = _shown(layout.curated(source) / "queries.parquet", "query_id", {row["query_row"] for row in rows})
    passages = _shown(
        layout.curated(source) / "corpus.parquet",
        "doc_id",
        {at for row in rows for at in (row["positive_row"], *row["negative_rows"][:MOST_NEGATIVES])},
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
                for at, kind, score, rank in islice(
                    zip(*(row[f"negative_{name}"] for name in ("rows", "kinds", "scores", "ranks")), strict=True),
                    MOST_NEGATIVES,
                )
            ],
            max(0, len(row["negative_rows"]) - MOST_NEGATIVES),
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
