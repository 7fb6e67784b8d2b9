"""Texts as hashed shingles, computed for whole batches without a Python loop over characters.

Legend: a `Ragged` holds the values of all rows one after the other; row i is
`values[offsets[i]:offsets[i + 1]]`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from f2llm.curate.rows import Hashes, Ints, group_starts, offsets_of

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: odd, well mixed (Knuth, TAOCP 3, 6.4)
FINALISERS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))  # MurmurHash3 fmix64
SHIFT = np.uint64(33)


class Ragged(NamedTuple):
    """Rows of 64-bit hashes of different lengths in one flat array."""

    values: Hashes
    offsets: Ints

    def row(self, index: int) -> Hashes:
        """The values of one row."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def owners(self) -> Ints:
        """For every value the row that it belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def char_shingles(texts: Sequence[str], *, size: int) -> Ragged:
    """Hashes of all runs of `size` characters; a shorter text is one shingle by itself."""
    padded = [text.ljust(size, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32)
    return windows(Ragged(codes, offsets_of([len(text) for text in padded])), size=size)


def word_hashes(texts: Sequence[str]) -> Ragged:
    """Hashes of the words of every text; words stand between single spaces."""
    if not texts:
        return Ragged(np.zeros(0, np.uint64), np.zeros(1, np.int64))
    words = pc.split_pattern(pa.array(texts, pa.large_string()), " ")
    words = pc.fill_null(words, []) if words.null_count else words
    encoded = words.flatten().dictionary_encode()  # each distinct word is hashed once
    hashes = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in encoded.dictionary.to_pylist()], np.uint64)
    counts = np.diff(words.offsets.to_numpy())
    values = hashes[encoded.indices.to_numpy()] if len(hashes) else np.zeros(0, np.uint64)
    filled = np.fromiter((bool(text) for text in texts), bool, len(texts))  # an empty text has no word
    return Ragged(values[np.repeat(filled, counts)], offsets_of(counts * filled))


def windows(rows: Ragged, *, size: int) -> Ragged:
    """Hashes of all runs of `size` values inside each row; shorter rows become empty."""
    room = len(rows.values) - size + 1
    counts = np.maximum(np.diff(rows.offsets) - size + 1, 0)
    if room <= 0:
        return Ragged(np.zeros(0, np.uint64), np.zeros(len(rows.offsets), np.int64))
    # A polynomial hash over all windows at once, also those that cross from one row into the next ...
    hashed = np.full(room, size, np.uint64)
    for shift in range(size):
        hashed *= MULTIPLIER
        hashed += rows.values[shift : shift + room]
        hashed += np.uint64(1)
    # ... which start in the last size - 1 places of a row, and are cut out.
    inside = np.ones(room, bool)
    for back in range(1, size):
        ends = rows.offsets[1:] - back
        inside[ends[(ends >= rows.offsets[:-1]) & (ends < room)]] = False
    return Ragged(_mix(hashed[inside]), offsets_of(counts))


def distinct(rows: Ragged) -> Ragged:
    """Each row's values sorted and without repeats."""
    values, offsets = rows.values.copy(), rows.offsets
    for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        values[start:end].sort()
    first = group_starts(values)
    first[offsets[:-1][np.diff(offsets) > 0]] = True
    kept = offsets_of(first)
    return Ragged(values[first], kept[offsets])


def shared(left: Ragged, right: Ragged) -> Ints:
    """How many values row i of `left` and row i of `right` have in common; rows as of `distinct`.

    Values are compared by their upper 63 bits, which sparse matrices take for column numbers.
    """
    from scipy.sparse import csr_array

    def matrix(rows: Ragged) -> csr_array:
        columns = (rows.values >> np.uint64(1)).view(np.int64)
        shape = (len(rows.offsets) - 1, np.iinfo(np.int64).max)
        sparse = csr_array((np.ones(len(columns), np.int8), columns, rows.offsets), shape=shape)
        sparse.has_canonical_format = True  # sorted and distinct already: else scipy would sort a copy
        return sparse

    if len(left.offsets) < 2:
        return np.zeros(0, np.int64)
    return np.diff(matrix(left).multiply(matrix(right)).indptr).astype(np.int64)


def _mix(hashed: Hashes) -> Hashes:
    for factor in FINALISERS:
        hashed ^= hashed >> SHIFT
        hashed *= factor
    hashed ^= hashed >> SHIFT
    return hashed
