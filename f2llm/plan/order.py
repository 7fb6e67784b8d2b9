"""Which tuples make which batch: a pure function of tuples, settings and seed.

Every batch is of one source, so sources come in proportion to their tuples. Within an epoch each source is
permuted by a keyed hash, cut into batches, and the batches of all sources are put in a keyed order; when they
run out before the last step, the next epoch follows. Nothing depends on the order in which rows arrive, on the
number of processes, or on a global generator.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.train import Train
from f2llm.plan.tuples import Tuples, order_by_key
from f2llm.records.ids import keyed_hash


class Part(NamedTuple):
    """The tuples of one source that are trained on."""

    tuples: Tuples
    rows: NDArray[np.int64]


class PlannedBatch(NamedTuple):
    """One batch: rows of one source's tuples, and its number within source and epoch."""

    epoch: int
    source: str
    index: int
    rows: NDArray[np.int64]


def plan_steps(parts: Sequence[Part], *, settings: Train, seed: int) -> Iterator[tuple[PlannedBatch, ...]]:
    """Yield the batches of each optimiser step: `steps` of them, or as many as `epochs` hold.

    With `epochs`, the last step may have fewer than `batches_per_step` batches.
    """
    epochs = count() if settings.epochs is None else range(settings.epochs)
    stream = (batch for epoch in epochs for batch in _epoch(parts, epoch=epoch, settings=settings, seed=seed))
    return islice(_grouped(stream, settings.batches_per_step), settings.steps)


def draw_negatives(available: int, *, count: int, seed: int, key: Sequence[bytes | str | int]) -> list[int]:
    """Return min(count, available) distinct positions below `available`, keyed by (seed, key)."""
    positions = list(range(available))
    for place in range(min(count, available)):
        other = place + keyed_hash(seed, "negatives", *key, place) % (available - place)
        positions[place], positions[other] = positions[other], positions[place]
    return positions[:count]


def draw_batch(batch: PlannedBatch, tuples: Tuples, *, settings: Train, seed: int) -> list[list[int]]:
    """Return for each tuple of the batch the drawn positions among its own hard negatives.

    Drawn for each tuple anew, or, as in upstream's code, the same positions for all of them.
    """
    available, wanted = tuples.negatives[batch.rows], settings.negatives
    if settings.negatives_drawn == "per_batch":
        key = (batch.epoch, batch.source, batch.index)
        shared = draw_negatives(int(available.min()), count=wanted, seed=seed, key=key)
        return [shared] * len(batch.rows)
    return [
        draw_negatives(int(least), count=wanted, seed=seed, key=(batch.epoch, tuples.id_of(row)))
        for row, least in zip(batch.rows, available, strict=True)
    ]


def cut(rows: NDArray[np.int64], *, batch_size: int, partial: str) -> list[NDArray[np.int64]]:
    """Return batches of `rows` in their order, where these are no multiple of `batch_size`.

    "even": as few batches as hold all rows, of sizes that differ by at most one. (A last batch of whatever is left
    may be of a single tuple, and Adam steps as far on its gradient as on that of a whole batch.)
    "repeat": the last is filled up with the first rows.
    """
    batches = -(-len(rows) // batch_size)
    if partial == "repeat":
        rows = np.resize(rows, batches * batch_size)
    return np.array_split(rows, batches) if batches else []


def _epoch(parts: Sequence[Part], *, epoch: int, settings: Train, seed: int) -> list[PlannedBatch]:
    """Return all batches of one epoch in their keyed order."""
    placed = []
    for tuples, rows in parts:
        keys = np.array([keyed_hash(seed, "plan", epoch, tuples.id_of(row)) for row in rows], np.uint64)
        order = order_by_key(tuples, rows, keys)
        for index, batch in enumerate(cut(order, batch_size=settings.batch_size, partial=settings.partial_batches)):
            place = keyed_hash(seed, "batch", epoch, tuples.name, index)
            placed.append((place, tuples.name, index, PlannedBatch(epoch, tuples.name, index, batch)))
    return [batch for *_, batch in sorted(placed, key=lambda item: item[:3])]


def _grouped(stream: Iterator[PlannedBatch], size: int) -> Iterator[tuple[PlannedBatch, ...]]:
    while group := tuple(islice(stream, size)):
        yield group
