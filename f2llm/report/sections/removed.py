"""Section: what curation removed and why: copies, evaluation texts by task, texts of several sources, examples."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from f2llm.report.tables import COUNT, LONG, SCORE, TEXT, Column, ReportTable
from f2llm.runs.funnel import Contamination, read_contamination
from f2llm.runs.layout import Layout

SIZES = (2, 3, 4, 10, 100)  # least members of a row of the table of clusters
REMOVED_SHOWN = 2  # rows of each role, stage and reason
HITS_SHOWN = 2  # of each task
PAIRS_SHOWN = 20  # of sources with texts in common
MOST_READ = 40_000  # characters of a text that is compared with another
REMOVED = (
    Column("source", "source", TEXT),
    Column("role", "what", TEXT),
    Column("stage", "stage", TEXT),
    Column("reason", "reason", TEXT),
    Column("rows", "rows", COUNT),
)
REMOVED_EXAMPLES = (
    Column("source", "source", TEXT),
    Column("role", "what", TEXT),
    Column("stage", "stage", TEXT),
    Column("reason", "reason", TEXT),
    Column("text", "text", LONG),
    Column("kept_text", "what stands in for it", LONG),
    Column("similarity", "similarity", SCORE),
    Column("evidence", "evidence", TEXT),
)
CONTAMINATION = (
    Column("task", "task", TEXT),
    Column("dropped", "rows dropped", COUNT),
    Column("reported", "rows reported", COUNT),
    Column("evaluation_texts", "evaluation texts found", COUNT),
    Column("corpus", "equal to a corpus text", COUNT),
    Column("sources", "rows by source", LONG),
)
SHARED = (Column("role", "what", TEXT), Column("sources", "sources", TEXT), Column("texts", "texts", COUNT))


class Clusters(NamedTuple):
    """Texts of one source that say the same, with the one that was kept of each."""

    source: str
    clusters: int
    removed: int
    by_size: tuple[int, ...]  # clusters from each of SIZES up to the next
    largest: int  # members
    largest_id: bytes | None  # of the text that was kept of it


class HitExample(NamedTuple):
    """A training text and the evaluation text that it contains."""

    source: str
    role: str
    task: str
    test_id: str
    rule: str
    containment: float
    dropped: bool
    text: str
    test_text: str


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

    clusters: Clusters
    largest_text: str


def read_clusters(layout: Layout, source: str) -> Clusters:
    """The clusters of exact and near copies among the passages, or else the queries, of a source."""
    table = read_table(layout.curated(source) / "removed.parquet", columns=["id", "role", "kept_id"])
    table = table.filter(pc.is_valid(table["kept_id"]))
    role = "passage" if pc.any(pc.equal(table["role"], "passage")).as_py() else "query"
    table = table.filter(pc.equal(table["role"], role))
    if not len(table):
        return Clusters(source, 0, 0, (0,) * len(SIZES), 0, None)
    ids, kept = _bytes(table["id"]), _bytes(table["kept_id"])
    kept = _last_stand_ins(kept, order=np.argsort(ids), ids=ids, stand_in=kept)
    roots, counts = np.unique(kept, return_counts=True)
    sizes = counts + 1
    bounds = [*SIZES, np.iinfo(np.int64).max]
    by_size = tuple(int(((sizes >= low) & (sizes < high)).sum()) for low, high in zip(bounds, bounds[1:], strict=False))
    largest = int(sizes.argmax())
    largest_id = bytes(roots[largest]).ljust(16, b"\0")  # NumPy drops the zeros at the end
    return Clusters(source, len(roots), len(ids), by_size, int(sizes[largest]), largest_id)


def cluster_example(layout: Layout, source: str) -> ClusterExample:
    """The clusters of copies in a source and the text of the largest."""
    clusters = read_clusters(layout, source)
    texts = {}
    for table, column in (("corpus", "doc_id"), ("queries", "query_id")) if clusters.largest_id else ():
        texts |= shown_rows(layout.source(source) / f"{table}.parquet", column, {clusters.largest_id})
    return ClusterExample(clusters, texts.get(clusters.largest_id, ""))


def read_shared(layout: Layout) -> list[Mapping[str, Any]]:
    """How many texts each two sources share, most first."""
    path = layout.results / "shared" / layout.variants["curated"] / "shared.json"
    pairs = read_json(path)["pairs"]
    return sorted(pairs, key=lambda pair: (-pair["texts"], pair["role"], pair["sources"]))


def hit_examples(layout: Layout, *, each: int) -> list[HitExample]:
    """Up to `each` hits of every task, drawn by keyed hash."""
    drawn: dict[str, list[tuple[int, HitExample]]] = {}
    for source in layout.sources:
        for batch in read_batches(layout.curated(source.name) / "hits.parquet", rows=1024):
            for row in batch.to_pylist():
                rank = keyed_hash(0, "example", row["id"])
                example = HitExample(source.name, *(row[name] for name in HitExample._fields[1:]))
                drawn[row["task"]] = sorted([*drawn.get(row["task"], []), (rank, example)])[:each]
    return [example for task in sorted(drawn) for _, example in drawn[task]]


def removed_examples(layout: Layout, source: str) -> list[RemovedExample]:
    """Up to two removed rows of each role, stage and reason, except those of the sampling cap."""
    chosen = _first_of_each_kind(layout.curated(source) / "removed.parquet")
    wanted = {row["id"] for row in chosen} | {row["kept_id"] for row in chosen if row["kept_id"]}
    texts = shown_rows(layout.source(source) / "corpus.parquet", "doc_id", wanted, most=MOST_READ)
    texts |= shown_rows(layout.source(source) / "queries.parquet", "query_id", wanted, most=MOST_READ)
    return [
        RemovedExample(
            row["role"],
            row["stage"],
            row["reason"],
            *_side_by_side(texts.get(row["id"], ""), texts.get(row["kept_id"])),
            row["evidence"] or "",
            row["similarity"],
        )
        for row in chosen
    ]


def removed_section(run: ReportedRun) -> Section:
    """What curation removed and why, with examples."""
    layout, gaps = run.layout, run.gaps
    names = [row.source for row in run.funnel]
    removed = [(row.source, *reason, rows) for row in run.funnel for reason, rows in row.removed.items()]
    total: Counter[tuple[str, str, str]] = Counter()
    for row in run.funnel:
        total.update(row.removed)
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    examples = read_each(run, names, lambda name: removed_examples(layout, name), what="examples of removed rows")
    clusters = read_each(run, names, lambda name: cluster_example(layout, name), what="copies")
    contamination: list[Contamination] = []
    hits: list[HitExample] = []
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
        "hits": [(hit, *found_inside(hit.text, hit.test_text)) for hit in hits],
        "pairs_shown": PAIRS_SHOWN,
    }
    also = ("removed.parquet and hits.parquet below results/curated", "shared.parquet below results/shared")
    return Section(tables, {}, shown, also)


def _flat(source: str, example: RemovedExample) -> tuple:
    texts = ("".join(piece.text for piece in pieces) for pieces in (example.text, example.kept_text))
    return (source, example.role, example.stage, example.reason, *texts, example.similarity, example.evidence)


def _clusters_table(examples: Iterable[ClusterExample]) -> ReportTable:
    bounds = [
        f"of {low}" if high == low + 1 else f"of {low} to {high - 1}"
        for low, high in zip(SIZES, SIZES[1:], strict=False)
    ]
    sizes = [
        Column(f"size_{low}", name, COUNT)
        for low, name in zip(SIZES, [*bounds, f"of {SIZES[-1]} and more"], strict=True)
    ]
    columns = (
        Column("source", "source", TEXT),
        Column("clusters", "clusters", COUNT),
        Column("removed", "texts removed", COUNT),
        *sizes,
        Column("largest", "largest", COUNT),
        Column("text", "kept of the largest", LONG),
    )
    rows = [
        (clusters.source, clusters.clusters, clusters.removed, *clusters.by_size, clusters.largest, text)
        for clusters, text in examples
        if clusters.clusters
    ]
    return ReportTable(columns, rows)


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


def _last_stand_ins(
    wanted: NDArray[np.bytes_], *, order: NDArray[np.int64], ids: NDArray[np.bytes_], stand_in: NDArray[np.bytes_]
) -> NDArray[np.bytes_]:
    """Follow stand-ins that were removed for another in their turn."""
    while True:
        places = np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)
        rows = order[places]
        gone = ids[rows] == wanted
        if not gone.any():
            return wanted
        wanted = np.where(gone, stand_in[rows], wanted)
