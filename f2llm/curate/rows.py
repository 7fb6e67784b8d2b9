"""Numbers and masks of rows: finding, joining and cutting them without a Python loop over rows."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Mask = NDArray[np.bool_]


def group_starts(*columns: NDArray) -> Mask:
    """Mask of the rows that differ from the one before them in any of the columns; the first row does."""
    first = np.ones(len(columns[0]), bool)
    first[1:] = np.logical_or.reduce([column[1:] != column[:-1] for column in columns])
    return first


def runs_from(starts: Ints, counts: Ints) -> Ints:
    """The numbers starts[i], starts[i] + 1, ..., counts[i] of them, for every i in turn."""
    ends = np.cumsum(counts)
    return np.arange(counts.sum()) + np.repeat(starts - (ends - counts), counts)


def find_all(values: NDArray, wanted: NDArray) -> tuple[Ints, Ints]:
    """How often each of `wanted` is among the sorted `values`, and the places where, one after the other."""
    starts = np.searchsorted(values, wanted, side="left")
    counts = np.searchsorted(values, wanted, side="right") - starts
    return counts, runs_from(starts, counts)


def joined(parts: Sequence[Sequence[NDArray]], *kinds: DTypeLike) -> list[NDArray]:
    """The columns of all parts, which may be none, one after the other; `kinds` are their types."""
    columns = zip(*parts, strict=True) if parts else ((),) * len(kinds)
    return [np.concatenate([np.zeros(0, kind), *column]) for kind, column in zip(kinds, columns, strict=True)]


def bounded_slices(sizes: NDArray, *, most: int, rows: int | None = None) -> Iterator[slice]:
    """Yield slices whose sizes sum up to at most `most`, of at most `rows` rows, or of one row."""
    total, start = np.cumsum(sizes, dtype=np.int64), 0
    while start < len(sizes):
        end = int(np.searchsorted(total, total[start] - sizes[start] + most, side="right"))
        end = min(max(end, start + 1), start + (rows or len(sizes)))
        yield slice(start, end)
        start = end


def offsets_of(counts: Sequence[int] | NDArray) -> Ints:
    """Where each row of so many values begins, and where the last ends."""
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets
