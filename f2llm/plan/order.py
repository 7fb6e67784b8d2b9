"""Which tuples make which batch: a pure function of tuples, settings and seed.

Every batch is of one source, and each source has batches in proportion to its tuples. In each epoch, the tuples of a
source are put in the order of a keyed hash and cut into batches, and the batches of all sources are put in the order of
another one; further epochs follow until the last step. Nothing depends on the order of rows in the tables, on the
number of processes, or on a global generator of random numbers.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.train import Train
from f2llm.plan.tuples import Tuples, order_by_key
from f2llm.records.ids import keyed_hash


class ChosenTuples(NamedTuple):
    """The tuples of one source that are trained on, or those that are held out."""

    tuples: Tuples
    rows: NDArray[np.int64]


class PlannedBatch(NamedTuple):
    """One batch: rows of one source's tuples, and its number within source and epoch."""

    epoch: int
    source: str
    index: int
    rows: NDArray[np.int64]


def plan_steps(chosen: Sequence[ChosenTuples], *, settings: Train, seed: int) -> Iterator[tuple[PlannedBatch, ...]]:
    """The batches of each optimiser step: of `steps` steps, or of as many as there are in `epochs`.

    With `epochs`, the last step may have fewer than `batches_per_step` batches.
    """
    epochs = count() if settings.epochs is None else range(settings.epochs)
    stream = (batch for epoch in epochs for batch in _epoch(chosen, epoch=epoch, settings=settings, seed=seed))
    return islice(_grouped(stream, settings.batches_per_step), settings.steps)


def draw_negatives(available: int, *, count: int, seed: int, key: Sequence[bytes | str | int]) -> list[int]:
    """min(count, available) distinct positions below `available`, drawn by a hash of `seed` and `key`."""
    # The first `count` swaps of a Fisher-Yates shuffle.
    positions = list(range(available))
    for place in range(min(count, available)):
        other = place + keyed_hash(seed, "negatives", *key, place) % (available - place)
        positions[place], positions[other] = positions[other], positions[place]
    return positions[:count]


def draw_batch(batch: PlannedBatch, tuples: Tuples, *, settings: Train, seed: int) -> list[list[int]]:
    """For each tuple of the batch, the positions of the drawn negatives among all its hard negatives.

    They are drawn for each tuple by itself or, as in upstream's code, once for the whole batch.
    """
    available, wanted = tuples.negatives[batch.rows], settings.negatives
    if settings.negatives_drawn == "per_batch":
        key = (batch.epoch, batch.source, batch.index)
        shared = draw_negatives(int(available.min()), count=wanted, seed=seed, key=key)
        return [shared] * len(batch.rows)
    return [
        draw_negatives(int(total), count=wanted, seed=seed, key=(batch.epoch, tuples.id_of(row)))
        for row, total in zip(batch.rows, available, strict=True)
    ]


def cut_into_batches(rows: NDArray[np.int64], *, batch_size: int, partial: str) -> list[NDArray[np.int64]]:
    """Cut `rows` in their order into as few batches of at most `batch_size` as hold all of them.

    `partial` says what happens if they do not fill the last batch. "even": batches differ in size by at most one. (A
    last batch of the remaining rows may have a single tuple, and Adam steps as far on its gradient as on that of a
    whole batch.) "repeat": the last batch is filled up with the first rows.
    """
    batches = -(-len(rows) // batch_size)
    if partial == "repeat":
        rows = np.resize(rows, batches * batch_size)
    return np.array_split(rows, batches) if batches else []


def _epoch(chosen: Sequence[ChosenTuples], *, epoch: int, settings: Train, seed: int) -> list[PlannedBatch]:
    """All batches of one epoch in their keyed order."""
    keyed = []
    for tuples, rows in chosen:
        keys = np.array([keyed_hash(seed, "plan", epoch, tuples.id_of(row)) for row in rows], np.uint64)
        order = order_by_key(tuples, rows, keys)
        batches = cut_into_batches(order, batch_size=settings.batch_size, partial=settings.partial_batches)
        for index, batch in enumerate(batches):
            key = (keyed_hash(seed, "batch", epoch, tuples.name, index), tuples.name, index)
            keyed.append((key, PlannedBatch(epoch, tuples.name, index, batch)))
    return [batch for _, batch in sorted(keyed, key=itemgetter(0))]


def _grouped(stream: Iterator[PlannedBatch], size: int) -> Iterator[tuple[PlannedBatch, ...]]:
    while group := tuple(islice(stream, size)):
        yield group
