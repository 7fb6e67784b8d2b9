"""The section on training: loss and speed of each source over the steps, and losses on held-out tuples."""

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

MOST_POINTS = 80  # of a curve; of more batches, neighbours are averaged in blocks
EDGE = 0.1  # share of the batches of a source over which the first and the last loss are means
LABELS = {"loss": "weighted sum", "loss_hard": "hard negatives", "loss_in_batch": "in-batch"}


class Curve(NamedTuple):
    """Means over P blocks of neighbouring batches of one source; all arrays [P], NaN where a term does not apply."""

    source: str
    steps: NDArray[np.int64]  # the last step of the block
    batches: NDArray[np.int64]
    losses: dict[str, NDArray[np.float64]]  # by term, as named in METRICS
    tokens_per_second: NDArray[np.float64]  # of the steps that had a batch of the source


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


def read_training(
    metrics: Path, validation: Path, *, losses: Sequence[str]
) -> tuple[list[SourceTraining], list[Curve]]:
    """A row and a curve for each source, by name; `losses` are the terms that curves have beside the whole loss."""
    columns = read_terms(metrics, ["tokens", "tokens_per_second", "loss", *losses], schema=METRICS)
    losses_held_out = _held_out(validation)
    rows, curves = [], []
    for source in sorted(set(columns["source"])):
        batches = {name: values[columns["source"] == source] for name, values in columns.items()}
        loss, tokens = batches["loss"], int(batches["tokens"].sum())
        edge = max(1, int(EDGE * len(loss)))
        first, last = float(loss[:edge].mean()), float(loss[-edge:].mean())
        speed = float(np.median(batches["tokens_per_second"]))
        held_out = losses_held_out.get(source, (None, None, None))
        rows.append(SourceTraining(source, len(loss), tokens, first, last, speed, *held_out))
        curves.append(_curve(source, batches, losses=("loss", *losses)))
    return rows, curves


def training_tables(
    rows: Sequence[SourceTraining], curves: Sequence[Curve], *, losses: Sequence[str]
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
        (curve.source, int(step), int(count), *map(_number_or_none, values), float(speed))
        for curve in curves
        for step, count, speed, *values in zip(
            curve.steps, curve.batches, curve.tokens_per_second, *curve.losses.values(), strict=True
        )
    ]
    return {"training": ReportTable(TRAINING, rows), "curves": ReportTable(columns, points)}


def _curve(source: str, batches: dict[str, NDArray], *, losses: Sequence[str]) -> Curve:
    steps, speeds = batches["step"], batches["tokens_per_second"]
    blocks = np.array_split(np.arange(len(steps)), min(MOST_POINTS, len(steps)))
    return Curve(
        source=source,
        steps=np.array([steps[block[-1]] for block in blocks]),
        batches=np.array([len(block) for block in blocks]),
        losses={name: np.array([_known_mean(batches[name][block]) for block in blocks]) for name in losses},
        tokens_per_second=np.array([speeds[block].mean() for block in blocks]),
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


def _number_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def training_section(run: ReportedRun) -> Section:
    """Loss and speed of each source over the steps, and the settings of the training."""
    losses = [LOSS_PREFIX + term.term for term in run.layout.train.losses]
    metrics, validation = (run.layout.of_run(f"{name}.parquet") for name in ("metrics", "validation"))
    rows, curves = read_training(metrics, validation, losses=losses)
    plots = {
        "loss": figures.curves({curve.source: _loss_lines(curve) for curve in curves}, zero=True),
        "throughput": figures.curves({curve.source: _speed_line(curve) for curve in curves}, zero=True),
    }
    tables = tuple(f"results/runs/{run.layout.run}/{name}.parquet" for name in ("metrics", "validation"))
    return Section(training_tables(rows, curves, losses=losses), plots, {"train": run.layout.train}, tables)


def _loss_lines(curve: Curve) -> dict[str, figures.Line]:
    return {LABELS.get(name, name): figures.Line(curve.steps, values) for name, values in curve.losses.items()}


def _speed_line(curve: Curve) -> dict[str, figures.Line]:
    return {"tokens/s": figures.Line(curve.steps, curve.tokens_per_second)}
