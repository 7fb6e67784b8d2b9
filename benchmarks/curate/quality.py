"""How right the removal of near copies is: against all pairs, and against planted copies and look-alikes.

The truth is exact: every pair with Jaccard 0.8 and more, by a prefix filter over sets of strings that shares no code
with f2llm.curate (Chaudhuri et al. 2006; a pair at t shares one of the rarest |x| - ceil(t |x|) + 1 shingles of each).
"""

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from benchmarks.curate.changes import copies, look_alikes
from benchmarks.curate.rows import Setting, curate, write_source

THRESHOLD, SHINGLE, LEAST_WORDS = 0.8, 5, 20
BUCKETS = {"5-9": (5, 10), "10-19": (10, 20), "20-49": (20, 50), "50-149": (50, 150), "150+": (150, 10**9)}
ROWS_PER_BLOCK = 500
PAIRS_PER_PART = 20_000


def all_pairs(texts: Sequence[str]) -> dict[str, Any]:
    """Return how many true pairs stay with both kept, and how many drops are not true, with the guard off."""
    from f2llm.records.ids import doc_id

    texts = [text for text in texts if len(comparable(text).split()) >= LEAST_WORDS]
    with TemporaryDirectory() as folder:
        write_source(Path(folder), texts)
        run = curate(Path(folder), Setting(guard=False))
        removed = pq.read_table(Path(folder, "out", "removed.parquet")).to_pylist()
        kept = set(pq.read_table(Path(folder, "out", "corpus.parquet"))["doc_id"].to_pylist())
    shingles = [shingled(text) for text in texts]
    ids = [doc_id(text) for text in texts]
    pairs = list(true_pairs(shingles))
    both = [(a, b) for a, b in pairs if ids[a] in kept and ids[b] in kept]
    of = dict(zip(ids, shingles, strict=True))
    near = [row for row in removed if row["stage"] == "near"]
    similarities = [jaccard(of[row["id"]], of[row["kept_id"]]) for row in near]
    return {
        "passages": len(texts),
        "true_pairs": len(pairs),
        "both_kept": len(both),
        "both_kept_share": len(both) / max(1, len(pairs)),
        "near_drops": len(near),
        "drops_at_threshold_share": sum(one >= THRESHOLD for one in similarities) / max(1, len(near)),
        "drops_whose_stand_in_is_kept_share": sum(row["kept_id"] in kept for row in near) / max(1, len(near)),
        "candidates": run["counts"]["near_candidates"],
    }


def planted(texts: Sequence[str], *, origins: Sequence[str], each: int, seed: int) -> dict[str, Any]:
    """Return the share of copies and look-alikes of `origins`, planted among `texts`, that were merged with them.

    `each` of every kind and length (in words of the comparable form). Origins are prose, as the kinds are kinds of
    changes to prose. Of texts below 20 words only those with another E1 key count: equal ones are no near copies.
    """
    from f2llm.records.ids import doc_id
    from f2llm.records.text_keys import content_key

    plants = list(_plants(origins, each=each, draw=random.Random(seed)))
    everything = {*texts, *(text for plant in plants for text in plant[2:])}
    with TemporaryDirectory() as folder:
        write_source(Path(folder), sorted(everything))
        curate(Path(folder))
        removed = pq.read_table(Path(folder, "out", "removed.parquet"), columns=["id", "kept_id"]).to_pylist()
    stand_in = {row["id"]: row["kept_id"] for row in removed}
    found: dict[str, dict[str, list[bool]]] = {}
    short: list[bool] = []
    for bucket, kind, text, other in plants:
        merged = _last(doc_id(text), stand_in) == _last(doc_id(other), stand_in)
        found.setdefault(kind, {}).setdefault(bucket, []).append(merged)
        if BUCKETS[bucket][0] < LEAST_WORDS and content_key(text) != content_key(other):
            short.append(merged)
    long = [name for name, (low, _) in BUCKETS.items() if low >= LEAST_WORDS]
    from_20 = {kind: [one for name in long for one in by.get(name, [])] for kind, by in found.items()}
    alike = [one for kind, all_of in from_20.items() if kind.startswith("look-alike") for one in all_of]
    return {
        "passages": len(everything),
        "planted_from_20_words": {kind: len(all_of) for kind, all_of in from_20.items()},
        "merged_from_20_words": {kind: _share(all_of) for kind, all_of in from_20.items()},
        "look_alikes_merged_from_20_words": _share(alike),
        "near_merged_below_20_words": _share(short),
        "merged_by_words": {kind: {name: _share(by[name]) for name in by} for kind, by in found.items()},
    }


def _plants(origins: Sequence[str], *, each: int, draw: random.Random) -> Iterator[tuple[str, str, str, str]]:
    """Yield (length, kind, origin, what was made of it); no origin serves twice."""
    words = [word for text in origins[:2000] for word in text.split()]
    kinds = {f"copy: {kind}": change for kind, change in copies(words).items()}
    kinds |= {f"look-alike: {kind}": change for kind, change in look_alikes().items()}
    lengths = {text: len(comparable(text).split()) for text in origins}
    for bucket, (low, high) in BUCKETS.items():
        left = iter(draw.sample(origins, len(origins)))
        for kind, change in kinds.items():
            made = 0
            while made < each and (text := next(left, None)):
                other = change(text, draw) if low <= lengths[text] < high else None
                if other and (other != text or kind == "copy: copy"):
                    yield bucket, kind, text, other
                    made += 1


def comparable(text: str) -> str:
    """Return the form that is shingled."""
    from f2llm.records.text_keys import e2_text

    return e2_text(text)


def shingled(text: str) -> frozenset[str]:
    """Return the character 5-grams."""
    form = comparable(text)
    return frozenset(form[at : at + SHINGLE] for at in range(len(form) - SHINGLE + 1))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the exact Jaccard similarity of two sets."""
    return len(left & right) / len(left | right)


def true_pairs(shingles: Sequence[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Yield every pair (a < b) at the threshold."""
    frequency = Counter(shingle for one in shingles for shingle in one)
    number = {
        shingle: at for at, (shingle, _) in enumerate(sorted(frequency.items(), key=lambda item: (item[1], item[0])))
    }
    prefixes = [
        sorted(number[shingle] for shingle in one)[: len(one) - math.ceil(THRESHOLD * len(one) - 1e-9) + 1]
        for one in shingles
    ]  # fmt: skip
    sizes = np.array([len(one) for one in shingles])
    whole = _table([sorted(number[shingle] for shingle in one) for one in shingles], columns=len(number))
    rare = _table(prefixes, columns=len(number))
    turned = rare.T.tocsr()
    for start in range(0, len(shingles), ROWS_PER_BLOCK):
        block = (rare[start : start + ROWS_PER_BLOCK] @ turned).tocoo()
        left, right = block.coords[0] + start, block.coords[1]
        small, large = np.minimum(sizes[left], sizes[right]), np.maximum(sizes[left], sizes[right])
        close = np.flatnonzero((left < right) & (small >= THRESHOLD * large))
        for part in range(0, len(close), PAIRS_PER_PART):
            chosen = close[part : part + PAIRS_PER_PART]
            a, b = left[chosen], right[chosen]
            common = whole[a].multiply(whole[b]).sum(axis=1)
            true = common / (sizes[a] + sizes[b] - common) >= THRESHOLD
            yield from zip(a[true].tolist(), b[true].tolist(), strict=True)


def _table(rows: Sequence[Sequence[int]], *, columns: int) -> csr_array:
    offsets = np.cumsum([0, *map(len, rows)])
    values = np.concatenate([np.array(row, np.int64) for row in rows])
    return csr_array((np.ones(len(values), np.int32), values, offsets), shape=(len(rows), columns))


def _last(one: bytes, stand_in: dict[bytes, bytes | None]) -> bytes:
    while stand_in.get(one):
        one = stand_in[one]
    return one


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None
