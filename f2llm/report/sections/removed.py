"""Section: what curation removed and why: copies, evaluation texts by task, texts of several sources, examples."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.records.files import read_json
from f2llm.records.ids import keyed_hash
from f2llm.records.tables import ID, read_batches, read_table
from f2llm.report.excerpts import MOST_CHARACTERS, Piece, found_inside, shown_rows, side_by_side
from f2llm.report.parts import ReportedRun, Section, read_each
from f2llm.report.tables import COUNT, LONG, SCORE, TEXT, ReportTable, columns
from f2llm.runs.funnel import Contamination, read_contamination
from f2llm.runs.layout import Layout

SIZES = (2, 3, 4, 10, 100)  # least members of a row of the table of clusters
REMOVED_SHOWN = 2  # rows of each role, stage and reason
HITS_SHOWN = 2  # of each task
PAIRS_SHOWN = 20  # of sources with texts in common
MOST_READ = 40_000  # characters of a text that is compared with another
REMOVED = (
    *columns(TEXT, "source", role="what", stage="stage", reason="reason"),
    *columns(COUNT, "rows"),
)
REMOVED_EXAMPLES = (
    *columns(TEXT, "source", role="what", stage="stage", reason="reason"),
    *columns(LONG, "text", kept_text="what stands in for it"),
    *columns(SCORE, "similarity"),
    *columns(TEXT, "evidence"),
)
CONTAMINATION = (
    *columns(TEXT, "task"),
    *columns(COUNT, dropped="rows dropped", reported="rows reported", evaluation_texts="evaluation texts found"),
    *columns(COUNT, corpus="equal to a corpus text"),
    *columns(LONG, sources="rows by source"),
)
SHARED = (*columns(TEXT, role="what", sources="sources"), *columns(COUNT, "texts"))


class Clusters(NamedTuple):
    """Texts of one source that say the same, with the one that was kept of each."""

    source: str
    clusters: int
    removed: int
    by_size: tuple[int, ...]  # clusters from each of SIZES up to the next
    largest: int  # members
    largest_id: bytes | None  # of the text that was kept of it


def read_clusters(layout: Layout, source: str) -> Clusters:
    """The clusters of exact and near copies among the passages, or else the queries, of a source."""
    table = read_table(layout.curated(source) / "removed.parquet", columns=["id", "role", "kept_id"])
    table = table.filter(pc.is_valid(table["kept_id"]))
    role = "passage" if pc.any(pc.equal(table["role"], "passage")).as_py() else "query"
    table = table.filter(pc.equal(table["role"], role))
    if not len(table):
        return Clusters(source, 0, 0, (0,) * len(SIZES), 0, None)
    ids, kept = _bytes(table["id"]), _bytes(table["kept_id"])
    roots, counts = np.unique(_last_stand_ins(ids, kept), return_counts=True)
    sizes = counts + 1
    by_size = tuple(np.histogram(sizes, [*SIZES, np.iinfo(np.int64).max])[0].tolist())
    largest = int(sizes.argmax())
    largest_id = bytes(roots[largest]).ljust(16, b"\0")  # NumPy drops the zeros at the end
    return Clusters(source, len(roots), len(ids), by_size, int(sizes[largest]), largest_id)


def cluster_row(layout: Layout, source: str) -> tuple:
    """A row of the table of clusters: those of a source, and the text that was kept of the largest."""
    clusters = read_clusters(layout, source)
    texts = {}
    for table, column in (("corpus", "doc_id"), ("queries", "query_id")) if clusters.largest_id else ():
        texts |= shown_rows(layout.source(source) / f"{table}.parquet", column, {clusters.largest_id})
    counts = (clusters.source, clusters.clusters, clusters.removed, *clusters.by_size, clusters.largest)
    return (*counts, texts.get(clusters.largest_id, ""))


def read_shared(layout: Layout) -> list[Mapping[str, Any]]:
    """How many texts each two sources share, most first."""
    path = layout.results / "shared" / layout.variants["curated"] / "shared.json"
    pairs = read_json(path)["pairs"]
    return sorted(pairs, key=lambda pair: (-pair["texts"], pair["role"], pair["sources"]))


def hit_examples(layout: Layout, *, each: int) -> list[dict[str, Any]]:
    """Up to `each` hits of every task, drawn by keyed hash: rows of hits.parquet with their source."""
    drawn: dict[str, list[tuple[tuple, dict[str, Any]]]] = {}
    for source in layout.sources:
        for batch in read_batches(layout.curated(source.name) / "hits.parquet", rows=1024):
            for row in batch.to_pylist():
                rank = (keyed_hash(0, "example", row["id"]), source.name, row["role"], row["test_id"])
                known = [*drawn.get(row["task"], []), (rank, row | {"source": source.name})]
                drawn[row["task"]] = sorted(known, key=itemgetter(0))[:each]
    return [hit for task in sorted(drawn) for _, hit in drawn[task]]


def removed_examples(layout: Layout, source: str) -> list[dict[str, Any]]:
    """Up to two removed rows of each role, stage and reason, except those of the sampling cap.

    Their `text`, and `kept_text` of what stands in for it, are in pieces.
    """
    chosen = _first_of_each_kind(layout.curated(source) / "removed.parquet")
    wanted = {row["id"] for row in chosen} | {row["kept_id"] for row in chosen if row["kept_id"]}
    texts = shown_rows(layout.source(source) / "corpus.parquet", "doc_id", wanted, most=MOST_READ)
    texts |= shown_rows(layout.source(source) / "queries.parquet", "query_id", wanted, most=MOST_READ)
    return [
        row
        | dict(
            zip(("text", "kept_text"), _side_by_side(texts.get(row["id"], ""), texts.get(row["kept_id"])), strict=True)
        )
        for row in chosen
    ]


def removed_section(run: ReportedRun) -> Section:
    """What curation removed and why, with examples."""
    layout, gaps = run.layout, run.gaps
    names = [row.source for row in run.funnel]
    removed = [(row.source, *reason, rows) for row in run.funnel for reason, rows in row.removed.items()]
    total = sum((Counter(row.removed) for row in run.funnel), Counter())
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    examples = read_each(run, names, lambda name: removed_examples(layout, name), what="examples of removed rows")
    clusters = read_each(run, names, lambda name: cluster_row(layout, name), what="copies")
    contamination: list[Contamination] = []
    hits: list[dict[str, Any]] = []
    shared: Sequence[Mapping[str, Any]] = ()
    with gaps.noting("evaluation texts"):
        contamination, hits = read_contamination(layout, run.jobs), hit_examples(layout, each=HITS_SHOWN)
    with gaps.noting("texts of several sources"):
        shared = read_shared(layout)
    pairs = [(pair["role"], " and ".join(pair["sources"]), pair["texts"]) for pair in shared]
    tables = {
        "removed": ReportTable(REMOVED, removed),
        "removed_by_reason": ReportTable(REMOVED[1:], [(*reason, rows) for reason, rows in ranked]),
        "removed_examples": ReportTable(
            REMOVED_EXAMPLES, [_flat(name, example) for name in examples for example in examples[name]]
        ),
        "clusters": _clusters_table(clusters.values()),
        "contamination": ReportTable(CONTAMINATION, [_by_task(row) for row in contamination]),
        "shared": ReportTable(SHARED, pairs),
    }
    shown = {
        "examples": examples,
        "hits": [(hit, *found_inside(hit["text"], hit["test_text"])) for hit in hits],
        "pairs_shown": PAIRS_SHOWN,
    }
    also = ("removed.parquet and hits.parquet below results/curated", "shared.parquet below results/shared")
    return Section(tables, {}, shown, also)


def _flat(source: str, example: Mapping[str, Any]) -> tuple:
    cells = example | {"source": source, "evidence": example["evidence"] or ""}
    cells |= {name: "".join(piece.text for piece in example[name]) for name in ("text", "kept_text")}
    return tuple(cells[column.name] for column in REMOVED_EXAMPLES)


def _clusters_table(rows: Iterable[tuple]) -> ReportTable:
    """The table of clusters; sources without any are left out."""
    sizes = {
        f"size_{low}": f"of {low}" if high == low + 1 else f"of {low} to {high - 1}" for low, high in pairwise(SIZES)
    }
    shown = (
        *columns(TEXT, "source"),
        *columns(COUNT, "clusters", removed="texts removed"),
        *columns(COUNT, **sizes, **{f"size_{SIZES[-1]}": f"of {SIZES[-1]} and more"}),
        *columns(COUNT, "largest"),
        *columns(LONG, text="kept of the largest"),
    )
    return ReportTable(shown, [row for row in rows if row[1]])


def _by_task(row: Contamination) -> tuple:
    sources = ", ".join(f"{source} {count:,}" for source, count in row.sources.items())
    return (row.task, row.dropped, row.reported, row.evaluation_texts, row.corpus, sources)


def _first_of_each_kind(path: Path) -> list[dict[str, Any]]:
    """The first rows of each role, stage and reason: by id, which is a hash, so they are a random sample."""
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


def _side_by_side(text: str, kept: str | None) -> tuple[list[Piece], list[Piece]]:
    if kept is None:
        return [Piece(text[:MOST_CHARACTERS], False)], []
    return side_by_side(text, kept)


def _bytes(ids: pa.ChunkedArray) -> NDArray[np.bytes_]:
    whole = pa.concat_arrays(ids.cast(ID).chunks)
    return np.frombuffer(whole.buffers()[1], "S16", count=len(whole), offset=whole.offset * 16)


def _last_stand_ins(ids: NDArray[np.bytes_], stand_in: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """Follow the stand-ins of removed `ids` that were removed for another in their turn."""
    wanted, order = stand_in, np.argsort(ids)
    while True:
        places = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
        rows = order[places]
        gone = ids[rows] == wanted
        if not gone.any():
            return wanted
        wanted = np.where(gone, stand_in[rows], wanted)
