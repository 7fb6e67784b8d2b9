"""Section: what mining kept and dropped by reason, its scores, and the ranks of the positives."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.config.mine import Mine
from f2llm.records.tables import read_batches
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section, in_words, read_each
from f2llm.report.tables import COUNT, LONG, SCORE, SHARE, TEXT, Column, ReportTable
from f2llm.runs.funnel import Funnel
from f2llm.runs.layout import Layout

BANDS = ((1, "1"), (5, "2-5"), (20, "6-20"))
# Evenly spaced rows of a table sorted by ids, which are hashes, are a random sample.
SCORES = np.linspace(-0.2, 1.0, 41)

MINING = (
    Column("source", "source", TEXT),
    Column("kept", "kept", COUNT),
    Column("rejected", "dropped", COUNT),
    Column("reasons", "reasons", LONG),
    Column("mean_positive", "mean score of positives", SCORE),
    Column("mean_negative", "of hard negatives", SCORE),
    Column("recall", "approximate index", TEXT),
)
HISTOGRAMS = (
    Column("source", "source", TEXT),
    Column("kind", "kind", TEXT),
    Column("low", "from", SCORE),
    Column("high", "to", SCORE),
    Column("count", "scores", COUNT),
)


class Ranks(NamedTuple):
    """How many positives rank so high among the candidates of their queries; `beyond` lies outside the window."""

    bands: Mapping[str, int]
    beyond: int
    known: int  # all pairs that were searched


class Histogram(NamedTuple):
    """Retriever scores counted between SCORES; positives and negatives are [bins]."""

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]


class Mining(NamedTuple):
    """What mining found in one source; None where nothing was scored."""

    source: str
    kept: int
    rejected: Mapping[str, int]  # in words
    mean_positive: float | None
    mean_negative: float | None
    histogram: "Histogram | None"
    ranks: Ranks | None
    recall: str | None  # of an approximate index, in words


class _Scores(NamedTuple):
    """Sum, number and histogram of scores."""

    total: float
    count: int
    bins: NDArray[np.int64]

    def add(self, scores: pa.Array) -> "_Scores":
        known = scores.drop_null().to_numpy(zero_copy_only=False)
        bins = np.histogram(known, SCORES)[0]
        return _Scores(self.total + float(known.sum(dtype=np.float64)), self.count + len(known), self.bins + bins)


def mining_tables(sources: Sequence[Mining]) -> dict[str, ReportTable]:
    """The tables `mining`, `ranks` and `score_histograms`."""
    rows = [
        (
            row.source, row.kept, sum(row.rejected.values()),
            ", ".join(f"{reason} {count:,}" for reason, count in row.rejected.items()),
            row.mean_positive, row.mean_negative, row.recall,
        )
        for row in sources
    ]  # fmt: skip
    ranks = [
        (row.source, *(count / row.ranks.known for count in (*row.ranks.bands.values(), row.ranks.beyond)))
        for row in sources
        if row.ranks
    ]
    bands = next((tuple(row.ranks.bands) for row in sources if row.ranks), ())
    columns = [*(Column(f"rank_{band}", f"rank {band}", SHARE) for band in bands), Column("beyond", "beyond", SHARE)]
    bins = [
        (row.source, kind, float(low), float(high), int(count))
        for row in sources
        if row.histogram
        for kind, counts in row.histogram._asdict().items()
        for low, high, count in zip(SCORES[:-1], SCORES[1:], counts, strict=True)
    ]
    return {
        "mining": ReportTable(MINING, rows),
        "ranks": ReportTable([Column("source", "source", TEXT), *columns], ranks),
        "score_histograms": ReportTable(HISTOGRAMS, bins),
    }


def read_mining(layout: Layout, row: Funnel, *, counts: Mapping[str, Any]) -> Mining:
    """What mining found in a source; `counts` are those of its job. Memory is one batch of the tables."""
    folder, nothing = layout.mined(row.source), _Scores(0.0, 0, np.zeros(len(SCORES) - 1, np.int64))
    positives = negatives = nothing
    for batch in read_batches(folder / "tuples.parquet", columns=["positive_score", "negative_scores"]):
        positives = positives.add(batch["positive_score"])
        negatives = negatives.add(pc.list_flatten(batch["negative_scores"]))
    means: tuple[float | None, float | None] = (None, None)
    histogram = None
    if positives.count and negatives.count:
        means = positives.total / positives.count, negatives.total / negatives.count
        histogram = Histogram(positives.bins, negatives.bins)
    recall = None
    if "recall" in counts:
        recall = (
            f"{counts['index']}: {counts['recall']:.1%} of the {layout.mine.window} nearest found, "
            f"measured on {counts['recall_queries']:,} queries"
        )
    return Mining(
        row.source, row.tuples or 0, in_words(row.rejected), *means, histogram, _ranks(folder, layout.mine), recall
    )


def _ranks(folder: Path, rule: Mine) -> Ranks | None:
    """Count the ranks of the positives of all searched pairs, kept and rejected."""
    bounds = [*(bound for bound, _ in BANDS if bound < rule.window), rule.window]
    names = [*(name for bound, name in BANDS if bound < rule.window), f"{bounds[-2] + 1 if len(bounds) > 1 else 1}-"]
    names[-1] += str(rule.window)
    counts, beyond = np.zeros(len(bounds), np.int64), 0
    for table in ("tuples", "rejected"):
        for batch in read_batches(folder / f"{table}.parquet", columns=["positive_score", "positive_rank"]):
            searched = batch["positive_rank"].filter(batch["positive_score"].is_valid())
            known = searched.drop_null().to_numpy(zero_copy_only=False)
            beyond += len(searched) - len(known)
            counts += np.bincount(np.searchsorted(bounds, known), minlength=len(bounds))[: len(bounds)]
    total = int(counts.sum()) + beyond
    return Ranks(dict(zip(names, counts.tolist(), strict=True)), beyond, total) if total else None


def mining_section(run: ReportedRun) -> Section:
    """What the miner kept and dropped, its scores, and the ranks of the positives."""
    counts: dict[str, dict[str, Any]] = {}
    for job in run.jobs:
        if job["rule"] in ("mine_source", "mine_part") and "source" in job.get("wildcards", {}):
            counts.setdefault(job["wildcards"]["source"], {}).update(job["counts"])
    rows = {row.source: row for row in run.funnel if row.tuples is not None}
    mined = read_each(
        run, rows, lambda name: read_mining(run.layout, rows[name], counts=counts.get(name, {})), what="scores"
    )
    histograms = {
        name: (source.histogram.positives.tolist(), source.histogram.negatives.tolist())
        for name, source in mined.items()
        if source.histogram
    }
    plots = {"mining": figures.score_histograms(histograms, edges=SCORES)} if histograms else {}
    also = ("tuples.parquet and rejected.parquet below results/mined",)
    return Section(
        mining_tables(list(mined.values())), plots, {"rule": run.layout.mine}, also, _approximate(mined.values())
    )


def _approximate(sources: Iterable[Mining]) -> list[str]:
    return [
        f"{row.source} was searched with an approximate index: {row.recall}. What it missed is lost as a negative."
        for row in sources
        if row.recall
    ]
