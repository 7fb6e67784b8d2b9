"""The sections of the report about the data: funnel, what was removed, hard negatives, tuples to read."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from f2llm.lineage import figures
from f2llm.lineage.curation import (
    SIZES,
    Clusters,
    Contamination,
    HitExample,
    hit_examples,
    read_contamination,
    read_shared,
)
from f2llm.lineage.examples import (
    ClusterExample,
    RemovedExample,
    TupleExample,
    cluster_example,
    removed_examples,
    tuple_examples,
    tuples_shown,
)
from f2llm.lineage.funnel import FUNNEL, SHOWN_STAGES, Funnel, funnel_table
from f2llm.lineage.marked import Piece, found_inside
from f2llm.lineage.mining import (
    SCORES,
    Mining,
    in_words,
    mining_tables,
    read_mining,
    rejected_examples,
)
from f2llm.lineage.parts import Part, Run
from f2llm.lineage.report_tables import COUNT, LONG, SCORE, TEXT, Column, ReportTable
from f2llm.records.files import read_json

HITS_SHOWN = 2  # of each task
PAIRS_SHOWN = 20
MOSTLY_DROPPED = 0.5  # share of a source's tuples lost in mining that the report warns about
Read = TypeVar("Read")
REMOVED = tuple(
    Column(name, heading, TEXT)
    for name, heading in (("source", "source"), ("role", "what"), ("stage", "stage"), ("reason", "reason"))
)
REMOVED = (*REMOVED, Column("rows", "rows", COUNT))
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
RELEASED = (
    Column("source", "source", TEXT),
    Column("common", "both", COUNT),
    Column("ours_only", "ours only", COUNT),
    Column("theirs_only", "theirs only", COUNT),
    Column("same_positive", "same positive", COUNT),
    Column("negatives_common", "negatives: both", COUNT),
    Column("negatives_ours", "ours", COUNT),
    Column("negatives_theirs", "theirs", COUNT),
)
TUPLES = (
    Column("source", "source", TEXT),
    Column("tuple_id", "tuple", TEXT),
    Column("kind", "kind", TEXT),  # query | positive | mined | given | drawn
    Column("text", "text", LONG),
    Column("score", "score", SCORE),
    Column("rank", "rank", COUNT),
)
REJECTED = (
    Column("source", "source", TEXT),
    Column("reason", "why", TEXT),
    Column("query", "query", LONG),
    Column("positive", "positive", LONG),
    Column("score", "score", SCORE),
    Column("rank", "rank", COUNT),
    Column("candidates", "candidates", COUNT),
    Column("kept", "passed", COUNT),
)


def funnel_section(run: Run) -> Part:
    """Return how many queries of each source every stage let through."""
    rows = run.funnel
    released = []
    for source in run.layout.sources:
        path = run.layout.mined(source.name) / "released.json"
        with run.gaps.noting(f"{source.name}, published tuples"):
            if path.is_file():
                found = read_json(path)
                released.append((source.name, *(found[column.name] for column in RELEASED[1:])))
    headings = {column.name: column.heading for column in FUNNEL}
    bars = {headings[stage]: [getattr(row, stage) for row in rows] for stage in SHOWN_STAGES}
    tables = {"funnel": funnel_table(rows)} | ({"released": ReportTable(RELEASED, released)} if released else {})
    return Part(
        tables,
        {"funnel": figures.funnel_bars(bars, sources=[row.source for row in rows])},
        also=("results/runs/*/plan.parquet", "results/mined/*/*/tuples.parquet"),
        warnings=_lost(rows),
    )


def removed_section(run: Run) -> Part:
    """Return what curation removed and why, with examples."""
    layout, gaps = run.layout, run.gaps
    names = [row.source for row in run.funnel]
    removed = [(row.source, *reason, rows) for row in run.funnel for reason, rows in row.removed.items()]
    total: Counter[tuple[str, str, str]] = Counter()
    for row in run.funnel:
        total.update(row.removed)
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    examples = _each(run, names, lambda name: removed_examples(layout, name), what="examples of removed rows")
    clusters = _each(run, names, lambda name: cluster_example(layout, name), what="copies")
    contamination: list[Contamination] = []
    hits: list[HitExample] = []
    shared: Sequence[Mapping[str, Any]] = ()
    with gaps.noting("evaluation texts"):
        contamination, hits = read_contamination(layout, run.jobs), hit_examples(layout, each=HITS_SHOWN)
    with gaps.noting("texts of several sources"):
        shared = read_shared(layout)
    pairs = [(pair["role"], " and ".join(pair["sources"]), pair["texts"]) for pair in shared]
    flat = [_flat(name, one) for name, own in examples.items() for one in own]
    tables = {
        "removed": ReportTable(REMOVED, removed),
        "removed_by_reason": ReportTable(REMOVED[1:], [(*reason, rows) for reason, rows in ranked]),
        "removed_examples": ReportTable(REMOVED_EXAMPLES, flat),
        "clusters": _clusters(clusters.values()),
        "contamination": ReportTable(CONTAMINATION, [_by_task(row) for row in contamination]),
        "shared": ReportTable(SHARED, pairs),
    }  # fmt: skip
    shown = {
        "examples": examples,
        "hits": [(hit, *found_inside(hit.text, hit.test_text)) for hit in hits],
        "pairs_shown": PAIRS_SHOWN,
    }
    also = ("removed.parquet and hits.parquet below results/curated", "shared.parquet below results/shared")
    return Part(tables, {}, shown, also)


def mining_section(run: Run) -> Part:
    """Return what the miner kept and dropped, its scores, and the ranks of the positives."""
    counts: dict[str, dict[str, Any]] = {}
    for job in run.jobs:
        if job["rule"] in ("mine_source", "mine_part") and "source" in job.get("wildcards", {}):
            counts.setdefault(job["wildcards"]["source"], {}).update(job["counts"])
    rows = {row.source: row for row in run.funnel if row.tuples is not None}
    found = _each(
        run, rows, lambda name: read_mining(run.layout, rows[name], counts=counts.get(name, {})), what="scores"
    )
    histograms = {
        name: (own.histogram.positives.tolist(), own.histogram.negatives.tolist())
        for name, own in found.items()
        if own.histogram
    }
    plots = {"mining": figures.score_histograms(histograms, edges=SCORES)} if histograms else {}
    also = ("tuples.parquet and rejected.parquet below results/mined",)
    return Part(
        mining_tables(list(found.values())), plots, {"rule": run.layout.mine}, also, _approximate(found.values())
    )


def tuples_section(run: Run) -> Part:
    """Return a sample of tuples, and of pairs that gave none, with all texts."""
    layout, names = run.layout, [row.source for row in run.funnel if row.tuples is not None]
    most = tuples_shown(len(layout.sources))
    examples = _each(run, names, lambda name: tuple_examples(layout, name, most=most), what="tuples")
    rejected = _each(run, names, lambda name: rejected_examples(layout, name), what="pairs without a tuple")
    tables = {
        "tuples": ReportTable(
            TUPLES, [row for name in examples for one in examples[name] for row in _texts(name, one)]
        ),
        "rejected": ReportTable(REJECTED, [(name, *one) for name in rejected for one in rejected[name]]),
    }
    also = ("tuples.parquet and rejected.parquet below results/mined",)
    return Part(tables, {}, {"examples": examples, "rejected": rejected}, also)


def _each(run: Run, names: Iterable[str], read: Callable[[str], Read], *, what: str) -> dict[str, Read]:
    """Read something of each source; those that cannot be read are noted and left out."""
    found = {}
    for name in names:
        with run.gaps.noting(f"{name}, {what}"):
            found[name] = read(name)
    return found


def _lost(rows: Sequence[Funnel]) -> list[str]:
    found = []
    for row in rows:
        lost = sum(row.rejected.values())
        if row.tuples is not None and lost > MOSTLY_DROPPED * max(1, lost + row.tuples):
            reason = Counter(in_words(row.rejected)).most_common(1)[0][0]
            found.append(
                f"{row.source}: mining dropped {lost:,} of {lost + row.tuples:,} tuples, mostly because: {reason}."
            )
        if row.planned == 0:
            found.append(f"{row.source}: no batch of the plan is from this source.")
    return found


def _approximate(found: Iterable[Mining]) -> list[str]:
    return [
        f"{row.source} was searched with an approximate index: {row.recall}. What it missed is lost as a negative."
        for row in found
        if row.recall
    ]


def _flat(source: str, one: RemovedExample) -> tuple:
    return (
        source,
        one.role,
        one.stage,
        one.reason,
        _plain(one.text),
        _plain(one.kept_text),
        one.similarity,
        one.evidence,
    )


def _plain(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def _clusters(examples: Iterable[ClusterExample]) -> ReportTable:
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
    found: list[tuple[Clusters, str]] = [(one.found, one.largest_text) for one in examples if one.found.clusters]
    rows = [(own.source, own.clusters, own.removed, *own.by_size, own.largest, text) for own, text in found]
    return ReportTable(columns, rows)


def _by_task(row: Contamination) -> tuple:
    sources = ", ".join(f"{source} {count:,}" for source, count in row.sources.items())
    return (row.task, row.dropped, row.reported, row.evaluation_texts, row.corpus, sources)


def _texts(source: str, one: TupleExample) -> list[tuple]:
    """Return the texts of a tuple, a row each."""
    return [
        (source, one.tuple_id, "query", one.query, None, None),
        (source, one.tuple_id, "positive", one.positive, one.score, one.rank),
        *((source, one.tuple_id, other.kind, other.text, other.score, other.rank) for other in one.negatives),
    ]
