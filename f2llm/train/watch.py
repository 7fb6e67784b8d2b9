"""The record of a training, kept by rank 0: log lines with rates and ETA, tables, TensorBoard events."""

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import torch

from f2llm.config.geometry import Geometry, training_flops
from f2llm.records.files import atomic_open
from f2llm.records.schemas.train import LOSS_PREFIX, METRICS, VALIDATION
from f2llm.records.tables import write_table
from f2llm.records.terms import terms_of
from f2llm.train.step import Loss, StepReport

LINE_SECONDS = 5.0
FEW_STEPS = 100
# The speed of a machine is measured on the product of square matrices of this side, the best of so many times.
MATMUL_SIDE = {"cpu": 1024, "cuda": 8192}
MATMUL_TIMES = 5
logger = logging.getLogger(__name__)


class MetricsLog:
    """Lines of JSON, one for each batch or source; reading drops a line that a crash cut off.

    A line holds the keys of `schema` and a value for each term that applies; the table has a row for each value.
    """

    def __init__(self, path: str | Path, *, schema: pa.Schema) -> None:
        self._path, self._schema = Path(path), schema

    def append(self, row: dict[str, Any]) -> None:
        """Write `row` at the end of the file."""
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def truncate(self, steps: int) -> None:
        """Keep the rows with `step` below `steps`: those of the steps that a checkpoint contains."""
        kept = [row for row in self.rows() if row["step"] < steps]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(self._path) as file:
            file.writelines(json.dumps(row).encode() + b"\n" for row in kept)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The complete rows in the order in which they were written."""
        if not self._path.is_file():
            return
        with open(self._path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    yield json.loads(line)

    def write_table(self, path: str | Path) -> int:
        """Write the values of all rows as a Parquet table; returns the number of its rows."""
        return write_table(path, schema=self._schema, rows=[terms_of(list(self.rows()), schema=self._schema)])


class TrainingLog:
    """Records every step and validation from step `start` on; rows of later steps, left by a crash, are dropped."""

    def __init__(
        self, folder: Path, events: Path, *, start: int, steps: int, geometry: Geometry, flops_per_second: float
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._start, self._steps = start, steps
        self._geometry, self._flops_per_second = geometry, flops_per_second
        self._metrics = MetricsLog(folder / "metrics.jsonl", schema=METRICS)
        self._validation = MetricsLog(folder / "validation.jsonl", schema=VALIDATION)
        self._metrics.truncate(start)
        self._validation.truncate(start + 1 if start else 0)  # a resumed run does not validate its first state again
        self._events = SummaryWriter(str(events), purge_step=start)
        self._seconds, self._last_line = 0.0, float("-inf")

    def step(self, step: int, report: StepReport, *, seconds: float, sequences: int) -> None:
        """Record one step, which took `seconds` and encoded `sequences`."""
        self._seconds += seconds
        rate = report.tokens / max(seconds, 1e-9)
        work = training_flops(self._geometry, tokens=report.tokens, mean_length=report.tokens / sequences)
        mfu = work / max(seconds, 1e-9) / self._flops_per_second
        shared = {
            "learning_rate": report.learning_rate, "gradient_norm": report.gradient_norm, "seconds": seconds,
            "tokens_per_second": rate, "mfu": mfu,
        }  # fmt: skip
        for number, loss in enumerate(report.batches):
            counts = {"step": step, "batch": number, "tokens": loss.tokens, "computed_tokens": loss.computed_tokens}
            self._metrics.append(counts | _values(loss) | shared)
        for key, value in (shared | _mean(report.batches)).items():
            self._events.add_scalar(f"train/{key}", value, step)
        for loss in report.batches:
            self._events.add_scalar(f"train_loss/{loss.source}", loss.loss, step)
        self._log_line(step, report, rate=rate, mfu=mfu)

    def validated(self, step: int, losses: Mapping[str, Sequence[tuple[Loss, int]]]) -> None:
        """Record the held-out losses after `step` steps: by source its batches, each with its number of tuples."""
        for source, batches in sorted(losses.items()):
            tuples = sum(count for _, count in batches)
            rows = [_values(loss) for loss, _ in batches]
            names = [name for name in rows[0] if name != "source"]
            means = {
                name: sum(row[name] * count for row, (_, count) in zip(rows, batches, strict=True)) / tuples
                for name in names
            }
            self._validation.append({"step": step, "source": source, "tuples": tuples} | means)
            self._events.add_scalar(f"validation_loss/{source}", means["loss"], step)
        mean = fmean([loss.loss for batches in losses.values() for loss, _ in batches])
        logger.info("step %d/%d: validation loss %.4f over %d sources", step, self._steps, mean, len(losses))

    def write_tables(self, *, metrics: Path, validation: Path) -> None:
        """Write all rows as tables; nothing is recorded after that."""
        self._metrics.write_table(metrics)
        self._validation.write_table(validation)
        self._events.close()

    def _log_line(self, step: int, report: StepReport, *, rate: float, mfu: float) -> None:
        """Log a line for each step of a short run, else every few seconds, and for the first and the last step."""
        now = time.monotonic()
        if self._steps > FEW_STEPS and step + 1 < self._steps and now - self._last_line < LINE_SECONDS:
            return
        self._last_line = now
        means = _mean(report.batches)
        useful = report.tokens / sum(loss.computed_tokens for loss in report.batches)
        terms = [f"{name.removeprefix(LOSS_PREFIX)} {value:.4f}" for name, value in means.items() if name != "loss"]
        eta = self._seconds / (step + 1 - self._start) * (self._steps - step - 1)
        logger.info(
            "step %d/%d %s: loss %.4f (%s), lr %.2e, gradient norm %.2f, %.0f tokens/s (%.1f %% useful), MFU %.0f %%, "
            "ETA %.0f s",
            step + 1, self._steps, "+".join(loss.source for loss in report.batches), means["loss"], ", ".join(terms),
            report.learning_rate, report.gradient_norm, rate, 100 * useful, 100 * mfu, eta,
        )  # fmt: skip


def matmul_rate(device: torch.device, *, precision: str) -> float:
    """Floating-point operations a second of a square matrix product on this device: the 100 % of MFU."""
    side = MATMUL_SIDE[device.type]
    left = torch.ones(side, side, device=device, dtype=getattr(torch, precision))
    best = float("inf")
    for _ in range(MATMUL_TIMES):
        _wait(device)
        began = time.perf_counter()
        left @ left
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _values(loss: Loss) -> dict[str, Any]:
    terms = {LOSS_PREFIX + name: value for name, value in loss.terms.items()}
    return {"source": loss.source, "loss": loss.loss} | terms


def _mean(losses: Sequence[Loss]) -> dict[str, float]:
    """Means over batches of the loss and of each term; a term over the batches that have it."""
    rows = [_values(loss) for loss in losses]
    names = dict.fromkeys(name for row in rows for name in row if name != "source")
    return {name: fmean([row[name] for row in rows if name in row]) for name in names}
