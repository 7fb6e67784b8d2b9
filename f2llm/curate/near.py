"""Near copies of long passages: MinHash bands find candidates, exact Jaccard and a guard decide.

Legend: N eligible passages, P permutations, B bands, E edges. Passages are numbered by their
canonical rank (0 is the best), an edge (a, b) has a < b. Settings and their measurements:
docs/curation.md.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.curate import Near
from f2llm.curate.guard import ALIKE, COPIES, ComparedText, difference
from f2llm.curate.passages import Passages
from f2llm.curate.rows import Hashes, Ints, Mask, bounded_slices, joined
from f2llm.curate.shingles import MULTIPLIER, Ragged, char_shingles, distinct, shared
from f2llm.curate.store import HashRows, reserve
from f2llm.jobs.progress import Progress
from f2llm.records.tables import NO_ROW

SHINGLE = 5  # characters of the E2 form
SEED = 42  # of the permutations: part of what a signature is, so no setting
ALL_PAIRS = 32  # bucket size up to which all pairs are candidates
LEADERS = 4  # in larger buckets: the best-ranked against all ...
NEIGHBOURS = 3  # ... and each against the next few in rank order
PAIRS_PER_PART = 4096  # whose texts are in memory at a time
SHINGLES_PER_PART = 1_000_000  # of the left or right side of the pairs that are compared at a time
UNGUARDED = "unguarded"


class Edges(NamedTuple):
    """Verified pairs of alike passages, by corpus row; `left` ranks better. Sorted by rank of right, then left."""

    left: Ints
    right: Ints
    similarity: NDArray[np.float64]  # exact Jaccard of the character 5-grams of the E2 forms
    kind: NDArray[np.str_]  # the guard's word for the difference


def signatures(shingles: Ragged, *, permutations: int) -> NDArray[np.uint32]:
    """R-MinHash signatures [N, P] of all rows; every row must have a shingle."""
    from rensa import RMinHash

    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.values, shingles.offsets.astype(np.uint64), permutations, SEED
    )
    return np.array(matrix.to_rows(), np.uint32).reshape(-1, permutations)


def band_keys(signatures_NP: NDArray[np.uint32], *, bands: int) -> Hashes:
    """64-bit keys [B, N] of the bands of the signatures; P must be a multiple of B."""
    bands_NBR = signatures_NP.reshape(len(signatures_NP), bands, -1).astype(np.uint64)  # R values of each band
    keys = np.repeat(np.arange(1, bands + 1, dtype=np.uint64)[:, None], len(bands_NBR), axis=1)
    for place in range(bands_NBR.shape[2]):  # a polynomial hash over the values of a band
        keys = (keys ^ (keys >> np.uint64(29))) * MULTIPLIER + bands_NBR[:, :, place].T
    return keys


def bucket_pairs(members: Ints) -> tuple[Ints, Ints]:
    """Candidate pairs (a < b) of one bucket; `members` are ranks in rising order.

    Large buckets (boilerplate, templates) would give a quadratic number of pairs, so there the LEADERS best ranks are
    paired with all, and each rank with its next NEIGHBOURS. By rank, so the order of the input does not matter.
    """
    if len(members) <= ALL_PAIRS:
        left, right = np.triu_indices(len(members), 1)
        return members[left], members[right]
    left = [np.repeat(members[:LEADERS], len(members)), *(members[:-step] for step in range(1, NEIGHBOURS + 1))]
    right = [np.tile(members, LEADERS), *(members[step:] for step in range(1, NEIGHBOURS + 1))]
    pairs = np.concatenate(left), np.concatenate(right)
    proper = pairs[0] < pairs[1]
    return pairs[0][proper], pairs[1][proper]


def find_near(
    passages: Passages, *, eligible: Mask, preferred: Mask, settings: Near, folder: Path
) -> tuple[Edges, dict[str, int]]:
    """Verified near copies among the eligible passages (masks over the rows of the corpus), and counts.

    Passages of fewer than `min_words` words are left out: read by eye, 20 of 20 pairs of short texts at Jaccard 0.8
    were different things. `preferred` marks the positives of training queries. Scratch files lie in `folder`.
    """
    rows = np.flatnonzero(eligible & (passages.words >= settings.min_words))
    # Canonical order, best first: a positive of a training query, then the longer E2 form, then the content key. It
    # decides which of two copies stays, so it must not depend on the order of the table.
    rows = rows[np.lexsort((passages.content_keys[rows], -passages.length[rows], ~preferred[rows]))]
    candidates = _candidates(passages, rows, settings=settings, folder=folder)
    return _verified(passages, rows, candidates, settings=settings, folder=folder)


def droppable(edges: Edges, *, threshold: float) -> Mask:
    """Mask of the edges that may drop a passage: similar enough, and copies of each other."""
    return (edges.similarity >= threshold) & np.isin(edges.kind, [*COPIES, UNGUARDED])


def dropping_edges(edges: Edges, *, drops: Mask, rows: int) -> Ints:
    """For every corpus row the edge that drops it, NO_ROW for rows that are kept.

    Passages are visited in canonical order; one is dropped only for an edge of `drops` to a
    passage that is kept: the most similar one, ties to the better rank. So there are no
    chains: every dropped passage is verified against what stands in for it.
    """
    chosen = np.full(rows, NO_ROW, np.int64)
    # Edges come by the rank of their right end: whether a left end, which ranks better, is dropped is known by then.
    for edge in np.flatnonzero(drops).tolist():
        left, right = edges.left[edge], edges.right[edge]
        closest = chosen[right] == NO_ROW or edges.similarity[edge] > edges.similarity[chosen[right]]
        if chosen[left] == NO_ROW and closest:
            chosen[right] = edge
    return chosen


def _candidates(passages: Passages, rows: Ints, *, settings: Near, folder: Path) -> Ints:
    """Distinct candidate pairs of ranks, each as a * N + b, in rising order."""
    total = len(rows)
    if total < 2:
        return np.zeros(0, np.int64)
    # The keys lie in a mapped file, not in memory: 8 bytes a passage and band, 160 a passage with the default 20 bands.
    reserve(folder / "bands.u64", settings.bands * total * np.dtype(np.uint64).itemsize)
    keys_BN = np.memmap(folder / "bands.u64", np.uint64, "r+", shape=(settings.bands, total))
    rank = np.full(len(passages), NO_ROW, np.int64)
    rank[rows] = np.arange(total)
    with Progress(f"{passages.where}: sign", total=total, unit="passages") as bar:
        for batch_rows, texts in passages.compared(np.sort(rows)):  # in the order of the file
            shingles = char_shingles([text.words for text in texts], size=SHINGLE)
            signed = signatures(shingles, permutations=settings.permutations)
            keys_BN[:, rank[batch_rows]] = band_keys(signed, bands=settings.bands)
            bar.advance(len(batch_rows))
    # Pairs as single numbers, united band by band: most pairs share several bands and must not pile up.
    pairs = np.zeros(0, np.int64)
    for band in range(settings.bands):
        left, right = _band_pairs(keys_BN[band])
        pairs = np.union1d(pairs, left * total + right)
    return pairs


def _band_pairs(keys_N: Hashes) -> list[Ints]:
    """Candidate pairs (a, b) of ranks that have the same key in one band."""
    # Sorting puts the members of a bucket side by side; a stable sort keeps them in the order of their ranks.
    order = np.argsort(keys_N, kind="stable")
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(keys_N[order])) + 1, [len(order)]])
    sizes = np.diff(bounds)
    pairs = []
    # Small buckets, which are many, go through numpy together, one round for each size.
    for size in np.unique(sizes[(sizes > 1) & (sizes <= ALL_PAIRS)]).tolist():
        members_KS = order[bounds[:-1][sizes == size][:, None] + np.arange(size)]
        left, right = np.triu_indices(size, 1)
        pairs.append((members_KS[:, left].ravel(), members_KS[:, right].ravel()))
    pairs += [bucket_pairs(order[bounds[bucket] : bounds[bucket + 1]]) for bucket in np.flatnonzero(sizes > ALL_PAIRS)]
    return joined(pairs, np.int64, np.int64)


def _verified(
    passages: Passages, rows: Ints, candidates: Ints, *, settings: Near, folder: Path
) -> tuple[Edges, dict[str, int]]:
    """The candidates whose exact Jaccard reaches the report threshold and that the guard finds alike."""
    left_rank, right_rank = np.divmod(candidates, max(len(rows), 1))
    left, right = rows[left_rank], rows[right_rank]
    # Exact Jaccard first: it is cheap, and about half of the candidates fall below 0.7.
    similarity = _similarities(passages, left, right, at_least=settings.report_threshold, folder=folder)
    close = np.flatnonzero(similarity >= settings.report_threshold)
    # No threshold tells a copy from a text with one fact changed: 99 to 100 % of those have a Jaccard of 0.8 and more.
    kinds = _differences(passages, left[close], right[close]) if settings.guard else np.full(len(close), UNGUARDED)
    alike = np.isin(kinds, [*ALIKE, UNGUARDED])
    chosen = close[alike]
    order = np.lexsort((left_rank[chosen], right_rank[chosen]))  # as `dropping_edges` visits them
    edges = Edges(left[chosen][order], right[chosen][order], similarity[chosen][order], kinds[alike][order])
    # Candidates are pairs that share a band; look-alikes are those above the report threshold that the guard refused.
    return edges, {"near_candidates": len(candidates), "look_alikes_kept": len(close) - len(chosen)}


def _similarities(passages: Passages, left: Ints, right: Ints, *, at_least: float, folder: Path) -> NDArray[np.float64]:
    """Exact Jaccard of every pair, 0 where the sizes alone put it below `at_least`."""
    stored = np.unique(np.concatenate([left, right]))
    similarity = np.zeros(len(left))
    with (
        HashRows(folder / "shingles.u64") as shingles,
        Progress(f"{passages.where}: compare", total=len(left), unit="pairs") as bar,
    ):
        # Each passage is cut into shingles once, however many pairs it is in; the shingles wait on disk.
        for _, texts in passages.compared(stored):
            shingles.append(distinct(char_shingles([text.words for text in texts], size=SHINGLE)))
        left_place, right_place = np.searchsorted(stored, left), np.searchsorted(stored, right)
        sizes = np.diff(shingles.offsets)
        small = np.minimum(sizes[left_place], sizes[right_place])
        large = np.maximum(sizes[left_place], sizes[right_place])
        # |A and B| <= small and |A or B| >= large, so a Jaccard of t needs small >= t * large.
        pairs = np.flatnonzero(small >= at_least * large)
        for bounds in bounded_slices(large[pairs], most=SHINGLES_PER_PART, rows=PAIRS_PER_PART):
            chosen = pairs[bounds]
            common = shared(shingles.rows(left_place[chosen]), shingles.rows(right_place[chosen]))
            similarity[chosen] = common / (small[chosen] + large[chosen] - common)
            bar.advance(len(chosen))
    return similarity


def _differences(passages: Passages, left: Ints, right: Ints) -> NDArray[np.str_]:
    """The guard's word for every pair; the texts of PAIRS_PER_PART pairs are in memory at a time."""
    kinds: list[str] = []
    for start in range(0, len(left), PAIRS_PER_PART):
        ends = left[start : start + PAIRS_PER_PART].tolist(), right[start : start + PAIRS_PER_PART].tolist()
        texts: dict[int, ComparedText] = {}
        for rows, compared in passages.compared(np.unique(np.concatenate(ends))):
            texts.update(zip(rows.tolist(), compared, strict=True))
        kinds += [difference(texts[a], texts[b]) for a, b in zip(*ends, strict=True)]
    return np.array(kinds, dtype="U9")
