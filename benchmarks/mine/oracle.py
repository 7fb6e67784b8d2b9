"""Compare the miner with sentence-transformers' on real queries, list by list.

    python -m benchmarks.mine.oracle --out benchmarks/results/mine-oracle.json

Both get the same float16 vectors of the sources of the embedded default (`make run TARGETS=mine` makes them), and
the paper's settings: top 100, skip 5, below 0.8 and 95 % of the positive, 24 negatives. A: filter, then skip, against
both paths of the peer. B: skip, then filter, against the peer's unfiltered candidates with the rule applied to them
word for word. Its window is 100 and the positives of the busiest query, for every query; equal scores pass; the
query's own text may be a negative: here ours is set to the same.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.machine import commit, machine, versions
from benchmarks.mine.data import Mined, peer_mine, read_sources
from benchmarks.mine.rules import paper_rule
from f2llm.mine.select import OK, REASONS, select
from f2llm.records.tables import NO_ROW
from f2llm.vectors.faiss_search import Faiss
from f2llm.vectors.search import choose_backend, search

TIE = 2e-6


class Lists(NamedTuple):
    """Mined rows and scores of a query."""

    rows: list[int]
    scores: list[float]


def main() -> None:
    """Compare all sources and print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "versions": versions(), "commit": commit(), "sources": {}}
    total: dict[str, Counter[str]] = {}
    for name, data in read_sources(options.results).items():
        pairs = compare(data)
        found["sources"][name] = {pair: dict(counts) for pair, counts in pairs.items()}
        for pair, counts in pairs.items():
            total.setdefault(pair, Counter()).update(counts)
            print(f"{name:<10} {pair:<28} {dict(counts)}", flush=True)
    found["total"] = {pair: dict(counts) for pair, counts in total.items()}
    for pair, counts in found["total"].items():
        print(f"{'all':<10} {pair:<28} {counts}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def compare(data: Mined) -> dict[str, Counter[str]]:
    """Return the counts of each pair of miners."""
    bounds = {"range_min": 5, "range_max": 100, "max_score": 0.8, "relative_margin": 0.05, "num_negatives": 24}
    faiss, torch = (theirs(data, use_faiss=use, **bounds) for use in (True, False))
    # Filtering first, the peer's window is all that it fetched; its unfiltered list ends at 100.
    mine = {
        order: ours(data, skip_order=order, window=window)
        for order, window in (("after_filter", 10**6), ("before_filter", 100))
    }
    wide = theirs(data, use_faiss=True, range_min=0, range_max=100, num_negatives=100)
    return {
        "peer faiss / peer torch": differences(faiss, torch, data),
        "peer faiss / ours": differences(faiss, mine["after_filter"], data),
        "peer torch / ours": differences(torch, mine["after_filter"], data),
        "peer unfiltered + rule / ours": differences(word_for_word(wide, data), mine["before_filter"], data),
    }


def theirs(data: Mined, **settings: Any) -> dict[int, Lists]:
    """Return query -> what the peer mines."""
    mined = peer_mine(data, sampling_strategy="top", output_format="n-tuple", output_scores=True, **settings)
    query_at, row_at = ({text: at for at, text in enumerate(texts)} for texts in (data.query_texts, data.passage_texts))
    columns = [name for name in mined.column_names if name.startswith("negative_")]
    return {
        query_at[row["query"]]: Lists([row_at[row[name]] for name in columns], row["scores"][1:])
        for row in mined
    }  # fmt: skip


def ours(data: Mined, **settings: Any) -> dict[int, Lists]:
    """Return query -> what our search and rule mine from as many candidates."""
    rule = paper_rule(strict=False, **settings)
    passages, backend = _View(data.passages_ND), choose_backend(backend="faiss", device="cpu", threads=1)
    candidates = 100 + max(map(len, data.positives))
    wanted = np.full(len(data.queries_QD), candidates)
    out = {}
    for found in search(data.queries_QD, passages, wanted_Q=wanted, backend=backend):
        asked = found.queries.tolist()
        least = [_scores(data, at).min() for at in asked]
        open_ = np.stack([~np.isin(rows, data.positives[at]) for at, rows in zip(asked, found.rows, strict=True)])
        chosen = select(
            found.scores, open_ & (found.rows != NO_ROW), positive_S=np.array(least, np.float32),
            given_S=np.zeros(len(asked), int), draw_S=np.zeros(len(asked), np.uint64), rule=rule,
        )  # fmt: skip
        for place, at in enumerate(asked):
            if REASONS[chosen.reason_S[place]] == OK:
                taken = chosen.taken_column[chosen.taken_selection == place]
                out[at] = Lists(found.rows[place, taken].tolist(), found.scores[place, taken].tolist())
    return out


def word_for_word(wide: dict[int, Lists], data: Mined) -> dict[int, Lists]:
    """Return the rule, skip first, on the peer's candidates."""
    out = {}
    for at, (rows, scores) in wide.items():
        least = _scores(data, at).min()
        limit = min(np.float32(0.8), least - abs(least) * np.float32(0.05))
        kept = [(row, score) for row, score in list(zip(rows, scores, strict=True))[5:] if np.float32(score) <= limit][
            :24
        ]
        if len(kept) == 24:
            out[at] = Lists(*map(list, zip(*kept, strict=True)))
    return out


def differences(one: dict[int, Lists], other: dict[int, Lists], data: Mined) -> Counter[str]:
    """Count lists that are identical, equal up to ties, or other, and queries that one keeps and the other drops."""
    counts = Counter(
        kept=len(one), only_first=len(one.keys() - other.keys()), only_second=len(other.keys() - one.keys())
    )
    for at in one.keys() & other.keys():
        left, right = one[at], other[at]
        gaps = [
            abs(a - b) for a, b, i, j in zip(left.scores, right.scores, left.rows, right.rows, strict=True) if i != j
        ]
        counts["identical" if not gaps else "equal up to ties" if max(gaps) <= TIE else "other"] += 1
        counts["several_positives"] += len(data.positives[at]) > 1
    return counts


def _scores(data: Mined, at: int) -> np.ndarray:
    rows = np.array(data.positives[at])
    return Faiss(threads=1).score(
        data.queries_QD[at : at + 1], data.passages_ND[rows], np.zeros(len(rows), int), np.arange(len(rows))
    )


class _View:
    """Passages in memory, read as the store's view is."""

    def __init__(self, rows_ND: np.ndarray) -> None:
        self._rows, self.dim = rows_ND, rows_ND.shape[1]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """Return some rows."""
        return self._rows[positions]

    def blocks(self, rows: int) -> Any:
        """Yield (first, rows)."""
        for first in range(0, len(self), rows):
            yield first, self._rows[first : first + rows]


if __name__ == "__main__":
    main()
