"""How training went: loss and speed of each source over the steps, and losses on held-out tuples."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.schemas.train import LOSS_PREFIX, METRICS, VALIDATION
from f2llm.records.terms import read_terms
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, LOSS, SECONDS, TEXT, Column, ReportTable

MOST_POINTS = 80  # of a curve; more batches are averaged in blocks of neighbours
EDGE = 0.1  # share of the batches of a source that "first" and "last" average over
LABELS = {"loss": "weighted sum", "loss_hard": "hard negatives", "loss_in_batch": "in-batch"}


class Curve(NamedTuple):
    """Means over blocks of neighbouring batches of one source; all arrays [P], NaN where a term does not apply."""

    source: str
    steps: NDArray[np.int64]  # the last of the block
    batches: NDArray[np.int64]
    losses: dict[str, NDArray[np.float64]]  # by terms of METRICS
    tokens_per_second: NDArray[np.float64]  # of the steps that had a batch of the source


class Trained(NamedTuple):
    """The training of one source in a row. Losses are means of the first and last tenth of its batches."""

    source: str
    batches: int
    tokens: int
    first: float
    last: float
    tokens_per_second: float  # median
    held_out: int | None  # tuples; None where none are held out
    held_out_before: float | None
    held_out_after: float | None


TRAINING = (
    Column("source", "source", TEXT),
    Column("batches", "batches", COUNT),
    Column("tokens", "tokens", COUNT),
    Column("first", "loss, first tenth", LOSS),
    Column("last", "loss, last tenth", LOSS),
    Column("tokens_per_second", "tokens/s", SECONDS),
    Column("held_out", "held-out tuples", COUNT),
    Column("held_out_before", "their loss before", LOSS),
    Column("held_out_after", "after", LOSS),
)


def read_training(metrics: Path, validation: Path, *, losses: Sequence[str]) -> tuple[list[Trained], list[Curve]]:
    """A row and a curve of each source, by name; `losses` are the terms that curves have beside the whole loss."""
    column = read_terms(metrics, ["tokens", "tokens_per_second", "loss", *losses], schema=METRICS)
    held_out = _held_out(validation)
    rows, curves = [], []
    for source in sorted(set(column["source"])):
        own = {name: values[column["source"] == source] for name, values in column.items()}
        edge = max(1, int(EDGE * len(own["loss"])))
        ends = own["loss"][:edge].mean(), own["loss"][-edge:].mean()
        speed = float(np.median(own["tokens_per_second"]))
        kept = held_out.get(source, (None, None, None))
        rows.append(Trained(source, len(own["loss"]), int(own["tokens"].sum()), *map(float, ends), speed, *kept))
        curves.append(_curve(source, own, losses=("loss", *losses)))
    return rows, curves


def training_tables(
    rows: Sequence[Trained], curves: Sequence[Curve], *, losses: Sequence[str]
) -> dict[str, ReportTable]:
    """The tables `training` and `curves`; the latter has a column for the whole loss and for each of `losses`."""
    columns = (
        Column("source", "source", TEXT),
        Column("step", "step", COUNT),
        Column("batches", "batches", COUNT),
        *(Column(name, name.replace("_", " "), LOSS) for name in ("loss", *losses)),
        Column("tokens_per_second", "tokens/s", SECONDS),
    )
    points = [
        (curve.source, int(step), int(count), *(_known(values[at]) for values in curve.losses.values()), float(speed))
        for curve in curves
        for at, (step, count, speed) in enumerate(
            zip(curve.steps, curve.batches, curve.tokens_per_second, strict=True)
        )
    ]  # fmt: skip
    return {"training": ReportTable(TRAINING, rows), "curves": ReportTable(columns, points)}


def _curve(source: str, own: dict[str, NDArray], *, losses: Sequence[str]) -> Curve:
    blocks = np.array_split(np.arange(len(own["step"])), min(MOST_POINTS, len(own["step"])))
    return Curve(
        source,
        np.array([own["step"][block[-1]] for block in blocks]),
        np.array([len(block) for block in blocks]),
        {name: np.array([_mean(own[name][block]) for block in blocks]) for name in losses},
        np.array([own["tokens_per_second"][block].mean() for block in blocks]),
    )


def _held_out(path: Path) -> dict[str, tuple[int, float, float]]:
    """Return source -> (tuples, loss before the first step, loss after the last)."""
    found: dict[str, tuple[int, float, float]] = {}
    column = read_terms(path, ["loss", "tuples"], schema=VALIDATION)
    for source, loss, tuples in zip(column["source"], column["loss"].tolist(), column["tuples"], strict=True):
        before = found[source][1] if source in found else loss
        found[source] = (int(tuples), before, loss)
    return found


def _mean(values: NDArray[np.floating]) -> float:
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def training_section(run: ReportedRun) -> Section:
    """Return loss and speed of each source over the steps."""
    losses = [LOSS_PREFIX + term.term for term in run.layout.train.losses]
    metrics, validation = (run.layout.of_run(f"{name}.parquet") for name in ("metrics", "validation"))
    rows, lines = read_training(metrics, validation, losses=losses)
    plots = {
        "loss": figures.curves({one.source: _losses(one) for one in lines}, zero=True),
        "throughput": figures.curves(
            {one.source: {"tokens/s": figures.Line(one.steps, one.tokens_per_second)} for one in lines}, zero=True
        ),
    }
    also = tuple(f"results/runs/{run.layout.run}/{name}.parquet" for name in ("metrics", "validation"))
    return Section(training_tables(rows, lines, losses=losses), plots, {"train": run.layout.train}, also)


def _losses(curve: Curve) -> dict[str, figures.Line]:
    return {LABELS.get(name, name): figures.Line(curve.steps, values) for name, values in curve.losses.items()}
