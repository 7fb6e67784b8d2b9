"""Texts as hashed shingles, computed for whole batches without a Python loop over characters.

Legend: a `Ragged` holds the values of all rows one after the other; row i is
`values[offsets[i]:offsets[i + 1]]`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: odd, well mixed (Knuth, TAOCP 3, 6.4)
FINALISERS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))  # MurmurHash3 fmix64
SHIFT = np.uint64(33)


class Ragged(NamedTuple):
    """Rows of 64-bit hashes of different lengths in one flat array."""

    values: NDArray[np.uint64]
    offsets: NDArray[np.int64]

    def row(self, index: int) -> NDArray[np.uint64]:
        """Return the values of one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def owners(self) -> NDArray[np.int64]:
        """Return for every value the row that it belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def char_shingles(texts: Sequence[str], *, size: int) -> Ragged:
    """Return the hashes of all runs of `size` characters; a shorter text is one shingle by itself."""
    padded = [text.ljust(size, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.uint64)
    return windows(Ragged(codes, _offsets([len(text) for text in padded])), size=size)


def word_hashes(texts: Sequence[str]) -> Ragged:
    """Return the hash of every word (between spaces) of every text."""
    words = [text.split() for text in texts]
    values = np.fromiter((xxhash.xxh3_64_intdigest(word.encode()) for row in words for word in row), np.uint64)
    return Ragged(values, _offsets([len(row) for row in words]))


def windows(rows: Ragged, *, size: int) -> Ragged:
    """Return the hashes of all runs of `size` values inside each row; shorter rows become empty."""
    lengths = np.diff(rows.offsets)
    counts = np.maximum(lengths - size + 1, 0)
    offsets = _offsets(counts)
    starts = np.arange(offsets[-1]) + np.repeat(rows.offsets[:-1] - offsets[:-1], counts)
    hashed = np.full(len(starts), size, np.uint64)
    for shift in range(size):
        hashed = hashed * MULTIPLIER + rows.values[starts + shift] + np.uint64(1)
    return Ragged(_mix(hashed), offsets)


def distinct(rows: Ragged) -> Ragged:
    """Return each row's values sorted and without repeats."""
    owners = rows.owners()
    order = np.lexsort((rows.values, owners))
    values, owners = rows.values[order], owners[order]
    first = np.ones(len(values), bool)
    first[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    counts = np.bincount(owners[first], minlength=len(rows.offsets) - 1)
    return Ragged(values[first], _offsets(counts))


def jaccard(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> float:
    """Return the Jaccard similarity of two sorted, repeat-free, non-empty rows."""
    small, large = (left, right) if len(left) <= len(right) else (right, left)
    places = np.minimum(np.searchsorted(large, small), len(large) - 1)
    shared = int(np.count_nonzero(large[places] == small))
    return shared / (len(left) + len(right) - shared)


def _offsets(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _mix(hashed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for factor in FINALISERS:
        hashed = (hashed ^ (hashed >> SHIFT)) * factor
    return hashed ^ (hashed >> SHIFT)
