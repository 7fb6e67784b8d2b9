"""The section on training: loss and speed of each source over the steps, and losses on held-out tuples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.schemas.train import LOSS_PREFIX, METRICS, VALIDATION
from f2llm.records.terms import read_terms
from f2llm.report import figures
from f2llm.report.parts import ReportedRun, Section
from f2llm.report.tables import COUNT, LOSS, SECONDS, TEXT, ReportTable, columns

MOST_POINTS = 80  # of a curve; of more batches, neighbours are averaged in blocks
EDGE = 0.1  # share of the batches of a source over which the first and the last loss are means
SPEED = "tokens_per_second"
LABELS = {"loss": "weighted sum", "loss_hard": "hard negatives", "loss_in_batch": "in-batch"}


class Curve(NamedTuple):
    """Means over P blocks of neighbouring batches of one source; all arrays [P], NaN where a term does not apply."""

    source: str
    steps: NDArray[np.int64]  # the last step of the block
    batches: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]  # losses by term, as named in METRICS, then tokens_per_second


class SourceTraining(NamedTuple):
    """The training on one source: a row of the table. Losses are means over the first and last tenth of its batches."""

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
    *columns(TEXT, "source"),
    *columns(COUNT, "batches", "tokens"),
    *columns(LOSS, first="loss, first tenth", last="loss, last tenth"),
    *columns(SECONDS, tokens_per_second="tokens/s"),
    *columns(COUNT, held_out="held-out tuples"),
    *columns(LOSS, held_out_before="their loss before", held_out_after="after"),
)


def read_training(
    metrics: Path, validation: Path, *, losses: Sequence[str]
) -> tuple[list[SourceTraining], list[Curve]]:
    """A row and a curve for each source, by name; `losses` are the terms that curves have beside the whole loss."""
    columns = read_terms(metrics, ["tokens", SPEED, "loss", *losses], schema=METRICS)
    losses_held_out = _held_out(validation)
    rows, curves = [], []
    for source in sorted(set(columns["source"])):
        batches = {name: values[columns["source"] == source] for name, values in columns.items()}
        loss, tokens = batches["loss"], int(batches["tokens"].sum())
        edge = max(1, int(EDGE * len(loss)))
        first, last = float(loss[:edge].mean()), float(loss[-edge:].mean())
        speed = float(np.median(batches[SPEED]))
        held_out = losses_held_out.get(source, (None, None, None))
        rows.append(SourceTraining(source, len(loss), tokens, first, last, speed, *held_out))
        curves.append(_curve(source, batches, names=("loss", *losses, SPEED)))
    return rows, curves


def training_tables(
    rows: Sequence[SourceTraining], curves: Sequence[Curve], *, losses: Sequence[str]
) -> dict[str, ReportTable]:
    """The tables `training` and `curves`; the latter has a column for the whole loss and for each of `losses`."""
    shown = (
        *columns(TEXT, "source"),
        *columns(COUNT, "step", "batches"),
        *columns(LOSS, **{name: name.replace("_", " ") for name in ("loss", *losses)}),
        *columns(SECONDS, tokens_per_second="tokens/s"),
    )
    points = [
        (curve.source, int(step), int(count), *(None if np.isnan(value) else float(value) for value in values))
        for curve in curves
        for step, count, *values in zip(curve.steps, curve.batches, *curve.values.values(), strict=True)
    ]
    return {"training": ReportTable(TRAINING, rows), "curves": ReportTable(shown, points)}


def _curve(source: str, batches: dict[str, NDArray], *, names: Sequence[str]) -> Curve:
    steps = batches["step"]
    blocks = np.array_split(np.arange(len(steps)), min(MOST_POINTS, len(steps)))
    return Curve(
        source=source,
        steps=np.array([steps[block[-1]] for block in blocks]),
        batches=np.array([len(block) for block in blocks]),
        values={name: np.array([_known_mean(batches[name][block]) for block in blocks]) for name in names},
    )


def _held_out(path: Path) -> dict[str, tuple[int, float, float]]:
    """By source: number of held-out tuples, their loss before the first step, and after the last."""
    losses: dict[str, tuple[int, float, float]] = {}
    columns = read_terms(path, ["loss", "tuples"], schema=VALIDATION)
    for source, loss, tuples in zip(columns["source"], columns["loss"].tolist(), columns["tuples"], strict=True):
        _, before, _ = losses.get(source, (0, loss, loss))
        losses[source] = (int(tuples), before, loss)
    return losses


def _known_mean(values: NDArray[np.floating]) -> float:
    """The mean without NaN; NaN where nothing else is left."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if len(known) else float("nan")


def training_section(run: ReportedRun) -> Section:
    """Loss and speed of each source over the steps, and the settings of the training."""
    losses = [LOSS_PREFIX + term.term for term in run.layout.train.losses]
    metrics, validation = (run.layout.of_run(f"{name}.parquet") for name in ("metrics", "validation"))
    rows, curves = read_training(metrics, validation, losses=losses)
    plots = {
        "loss": _plot(curves, {name: LABELS.get(name, name) for name in ("loss", *losses)}),
        "throughput": _plot(curves, {SPEED: "tokens/s"}),
    }
    tables = tuple(f"results/runs/{run.layout.run}/{name}.parquet" for name in ("metrics", "validation"))
    return Section(training_tables(rows, curves, losses=losses), plots, also=tables)


def _plot(curves: Sequence[Curve], labels: Mapping[str, str]) -> str:
    """A panel for each source with the values that `labels` name."""
    lines = {
        curve.source: {label: figures.Line(curve.steps, curve.values[name]) for name, label in labels.items()}
        for curve in curves
    }
    return figures.curves(lines, zero=True)
