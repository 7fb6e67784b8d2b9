"""Texts as hashed shingles, computed for whole batches without a Python loop over characters.

Legend: a `Ragged` holds the values of all rows one after the other; row i is
`values[offsets[i]:offsets[i + 1]]`. Letters of scripts without spaces hold more than a Latin letter and less than a
word (f2llm.records.words), so there a shingle has as many of them as hold what it does in English.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from f2llm.curate.rows import Hashes, Ints, Mask, group_starts, offsets_of
from f2llm.records.words import WORD, has_unspaced, spaced, widths_of, worths_of

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


class Words(NamedTuple):
    """The words of some texts, and their letters of scripts without spaces, as hashes."""

    hashes: Ragged
    worths: Ints | None  # of each, in WORD-ths of a word; None if all are words

    def counts(self) -> Ints:
        """Number of words of each text; letters count in part, and together at least one."""
        counts = np.diff(self.hashes.offsets)
        if self.worths is None:
            return counts
        total = np.concatenate([[0], np.cumsum(self.worths)])[self.hashes.offsets]
        return np.maximum(np.diff(total) // WORD, counts > 0)

    def with_letters(self) -> Mask:
        """Mask of the texts that have a letter of a script without spaces."""
        if self.worths is None:
            return np.zeros(len(self.hashes.offsets) - 1, bool)
        return _rows_with(self.hashes, self.worths != WORD)

    def grams(self, size: int) -> Ragged:
        """Hashes of all runs of `size` words inside each text, of letters the shortest that are worth as much."""
        return _windows_by_weight(self.hashes, self.worths, unit=WORD, size=size)


def char_shingles(texts: Sequence[str], *, size: int) -> Ragged:
    """Hashes of all runs of `size` characters, or of letters that stand for as many; a shorter text is one run."""
    padded = [text.ljust(size, "\0") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32)
    rows = Ragged(codes, offsets_of([len(text) for text in padded]))
    return _windows_by_weight(rows, widths_of(codes), unit=1, size=size)


def word_hashes(forms: Sequence[str]) -> Words:
    """Hashes of the words and letters of E2 forms."""
    if not forms:
        return Words(Ragged(np.zeros(0, np.uint64), np.zeros(1, np.int64)), None)
    words = pc.split_pattern(pa.array(map(spaced, forms), pa.large_string()), " ")
    words = pc.fill_null(words, []) if words.null_count else words
    encoded = words.flatten().dictionary_encode()  # each distinct word is hashed once
    known, places = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    hashes = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in known], np.uint64)
    counts = np.diff(words.offsets.to_numpy())
    filled = np.fromiter(map(bool, forms), bool, len(forms))  # an empty text has no word
    # Tokens of all texts but the empty ones, whose only one is "".
    places = places[np.repeat(filled, counts)]
    worths = np.array(worths_of(known), np.int64)[places] if any(map(has_unspaced, forms)) else None
    return Words(Ragged(hashes[places], offsets_of(counts * filled)), worths)


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


def _rows_with(rows: Ragged, values: Mask) -> Mask:
    """Mask of the rows that have one of the values under the mask."""
    mask = np.zeros(len(rows.offsets) - 1, bool)
    mask[np.searchsorted(rows.offsets, np.flatnonzero(values), side="right") - 1] = True
    return mask


def _windows_by_weight(rows: Ragged, weights: Ints | None, *, unit: int, size: int) -> Ragged:
    """`windows`, in rows with values of other weights than `unit` the shortest runs that weigh `size` units."""
    if weights is None:
        return windows(rows, size=size)
    # Other weights are rare beside English texts, and runs of one length are the faster ones.
    weighted = _rows_with(rows, weights != unit)
    counts = np.diff(rows.offsets)
    inside = np.repeat(weighted, counts)
    plain = windows(Ragged(rows.values[~inside], offsets_of(counts[~weighted])), size=size)
    other = Ragged(rows.values[inside], offsets_of(counts[weighted]))
    other = _weighted_windows(other, weights[inside], least=size * unit)
    counts[~weighted], counts[weighted] = np.diff(plain.offsets), np.diff(other.offsets)
    inside, values = np.repeat(weighted, counts), np.empty(counts.sum(), np.uint64)
    values[~inside], values[inside] = plain.values, other.values
    return Ragged(values, offsets_of(counts))


def _weighted_windows(rows: Ragged, weights: Ints, *, least: int) -> Ragged:
    """Hashes of the shortest runs inside each row that weigh `least`; those of `windows` where all weigh the same.

    There is one for each value that such a run begins at; a row that weighs less becomes empty.
    """
    total = np.concatenate([[0], np.cumsum(weights)])
    ends = np.searchsorted(total, total[:-1] + least)
    owners = rows.owners()
    starts = np.flatnonzero(ends <= rows.offsets[1:][owners])
    lengths = ends[starts] - starts
    hashed = lengths.astype(np.uint64)
    # The polynomial hash of `windows`, over the runs that are long enough to have one more value.
    for shift in range(lengths.max(initial=0)):
        longer = slice(None) if shift < lengths.min() else lengths > shift
        hashed[longer] = hashed[longer] * MULTIPLIER + rows.values[starts[longer] + shift] + np.uint64(1)
    return Ragged(_mix(hashed), offsets_of(np.bincount(owners[starts], minlength=len(rows.offsets) - 1)))


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
