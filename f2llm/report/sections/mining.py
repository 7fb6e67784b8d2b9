"""Section: what mining kept and dropped by reason, its scores, and the ranks of the positives."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.records.tables import read_batches
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section, in_words, read_each
from f2llm.report.tables import COUNT, LONG, SCORE, SHARE, TEXT, ReportTable, columns
from f2llm.runs.funnel import Funnel
from f2llm.runs.layout import Layout

BANDS = (1, 5, 20)  # last ranks, counted from 1
# Evenly spaced rows of a table sorted by ids, which are hashes, are a random sample.
SCORES = np.linspace(-0.2, 1.0, 41)

MINING = (
    *columns(TEXT, "source"),
    *columns(COUNT, "kept", rejected="dropped"),
    *columns(LONG, "reasons"),
    *columns(SCORE, mean_positive="mean score of positives", mean_negative="of hard negatives"),
    *columns(TEXT, recall="approximate index"),
)
HISTOGRAMS = (
    *columns(TEXT, "source", "kind"),
    *columns(SCORE, low="from", high="to"),
    *columns(COUNT, count="scores"),
)


class Scores(NamedTuple):
    """Retriever scores: their sum, their number, and how many of them lie between the values of SCORES."""

    total: float = 0.0
    count: int = 0
    bins: NDArray[np.int64] = np.zeros(len(SCORES) - 1, np.int64)

    def add(self, scores: pa.Array) -> "Scores":
        """These scores and some more."""
        known = scores.drop_null().to_numpy(zero_copy_only=False)
        bins = np.histogram(known, SCORES)[0]
        return Scores(self.total + float(known.sum(dtype=np.float64)), self.count + len(known), self.bins + bins)


class Mining(NamedTuple):
    """What mining found in one source."""

    source: str
    kept: int
    rejected: Mapping[str, int]  # in words
    scores: Mapping[str, Scores]  # of "positives" and "negatives"; empty where nothing was scored
    ranks: Mapping[str, int]  # how many positives rank so high; empty where none was searched
    recall: str | None  # of an approximate index, in words


def mining_tables(sources: Sequence[Mining]) -> dict[str, ReportTable]:
    """The tables `mining`, `ranks` and `score_histograms`."""
    rows = [
        (
            row.source, row.kept, sum(row.rejected.values()),
            ", ".join(f"{reason} {count:,}" for reason, count in row.rejected.items()),
            *([scores.total / scores.count for scores in row.scores.values()] or (None, None)), row.recall,
        )
        for row in sources
    ]  # fmt: skip
    ranks = [
        (row.source, *(count / sum(row.ranks.values()) for count in row.ranks.values())) for row in sources if row.ranks
    ]
    bands = next((row.ranks for row in sources if row.ranks), ("beyond",))
    shares = columns(SHARE, **{band.replace(" ", "_"): band for band in bands})
    bins = [
        (row.source, kind, float(low), float(high), int(count))
        for row in sources
        for kind, scores in row.scores.items()
        for low, high, count in zip(SCORES[:-1], SCORES[1:], scores.bins, strict=True)
    ]
    return {
        "mining": ReportTable(MINING, rows),
        "ranks": ReportTable([*columns(TEXT, "source"), *shares], ranks),
        "score_histograms": ReportTable(HISTOGRAMS, bins),
    }


def read_mining(layout: Layout, row: Funnel, *, counts: Mapping[str, Any]) -> Mining:
    """What mining found in a source; `counts` are those of its job. Memory is one batch of the tables."""
    folder, positives, negatives = layout.mined(row.source), Scores(), Scores()
    for batch in read_batches(folder / "tuples.parquet", columns=["positive_score", "negative_scores"]):
        positives = positives.add(batch["positive_score"])
        negatives = negatives.add(pc.list_flatten(batch["negative_scores"]))
    both = positives.count and negatives.count
    scores = {"positives": positives, "negatives": negatives} if both else {}
    recall = None
    if "recall" in counts:
        recall = (
            f"{counts['index']}: {counts['recall']:.1%} of the {layout.mine.window} nearest found, "
            f"measured on {counts['recall_queries']:,} queries"
        )
    ranks = _ranks(folder, window=layout.mine.window)
    return Mining(row.source, row.tuples or 0, in_words(row.rejected), scores, ranks, recall)


def _ranks(folder: Path, *, window: int) -> dict[str, int]:
    """Count the ranks of the positives of all searched pairs, kept and rejected, and those beyond the window."""
    bounds = [*(bound for bound in BANDS if bound < window), window]
    names = [f"rank {low + 1}-{high}" if high > 1 else "rank 1" for low, high in pairwise([0, *bounds])]
    counts, beyond = np.zeros(len(bounds), np.int64), 0
    for table in ("tuples", "rejected"):
        for batch in read_batches(folder / f"{table}.parquet", columns=["positive_score", "positive_rank"]):
            searched = batch["positive_rank"].filter(batch["positive_score"].is_valid())
            known = searched.drop_null().to_numpy(zero_copy_only=False)
            beyond += len(searched) - len(known)
            counts += np.bincount(np.searchsorted(bounds, known), minlength=len(bounds))[: len(bounds)]
    ranks = dict(zip([*names, "beyond"], [*counts.tolist(), beyond], strict=True))
    return ranks if any(ranks.values()) else {}


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
        name: [scores.bins.tolist() for scores in row.scores.values()] for name, row in mined.items() if row.scores
    }
    plots = {"mining": figures.score_histograms(histograms, edges=SCORES)} if histograms else {}
    also = ("tuples.parquet and rejected.parquet below results/mined",)
    approximate = [
        f"{row.source} was searched with an approximate index: {row.recall}. What it missed is lost as a negative."
        for row in mined.values()
        if row.recall
    ]
    return Section(mining_tables(list(mined.values())), plots, {}, also, approximate)
