"""Is a difference between two models more than chance? Paired bootstrap over the items of a task.

The same items are drawn for both models, with replacement (Efron and Tibshirani 1993, chapter 16; for retrieval
Sakai 2006); the draws are keyed by the task's name, so the verdict is the same in every run.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.tables import read_table

DRAWS = 2000
LEVEL = 0.95
FEWEST_ITEMS = 10
# Items of all draws that are looked at in one go: memory.
AT_ONCE = 4_000_000


class Difference(NamedTuple):
    """A model less another on one task, in points, with the interval that holds 95 % of the draws."""

    task: str
    items: int
    points: float
    low: float
    high: float
    real: bool  # the interval is on one side of zero


class Scored(NamedTuple):
    """Scores of the items of a task by (split, subset, item), and gold scores where cosines are ranked."""

    score: Mapping[tuple[str, str, str], float]
    gold: Mapping[tuple[str, str, str], float | None]


def read_items(path: str | Path) -> Scored:
    """Read a table of schema ITEMS."""
    rows = read_table(path).to_pylist()
    keys = [(row["split"], row["subset"], row["item"]) for row in rows]
    return Scored(
        {key: row["score"] for key, row in zip(keys, rows, strict=True)},
        {key: row["gold"] for key, row in zip(keys, rows, strict=True)},
    )


def paired_bootstrap(task: str, one: Scored, other: Scored, *, draws: int = DRAWS) -> Difference | None:
    """Return the difference of `one` over `other`; None where too few items were scored by both."""
    keys = sorted(one.score.keys() & other.score.keys())
    if len(keys) < FEWEST_ITEMS or len(keys) != len(one.score) or len(keys) != len(other.score):
        return None
    first_N = np.array([one.score[key] for key in keys])
    second_N = np.array([other.score[key] for key in keys])
    gold = [one.gold[key] for key in keys]
    gold_N = None if None in gold else np.array(gold)
    seed = int.from_bytes(hashlib.blake2b(task.encode(), digest_size=8).digest(), "little")
    dice, found = np.random.Generator(np.random.PCG64(seed)), []
    each = max(1, AT_ONCE // len(keys))
    for start in range(0, draws, each):
        rows_RN = dice.integers(0, len(keys), (min(each, draws - start), len(keys)))
        found.append(_differences(first_N, second_N, gold_N, rows_RN))
    drawn_R = 100 * np.concatenate(found)
    whole = 100 * float(_differences(first_N, second_N, gold_N, np.arange(len(keys))[None])[0])
    low, high = np.quantile(drawn_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(
        task, len(keys), round(whole, 4), round(float(low), 4), round(float(high), 4), bool(low > 0 or high < 0)
    )


def _differences(
    first_N: NDArray[np.float64],
    second_N: NDArray[np.float64],
    gold_N: NDArray[np.float64] | None,
    rows_RN: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return [R] the difference of the means, or of Spearman's correlations with the gold scores, of each draw."""
    if gold_N is None:
        return (first_N - second_N)[rows_RN].mean(1)
    gold_RN = gold_N[rows_RN]
    return _spearman(first_N[rows_RN], gold_RN) - _spearman(second_N[rows_RN], gold_RN)


def _spearman(one_RN: NDArray[np.float64], other_RN: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=1) for values in (one_RN, other_RN)]
    a_RN, b_RN = (each - each.mean(1, keepdims=True) for each in ranks)
    norms_R = np.sqrt((a_RN**2).sum(1) * (b_RN**2).sum(1))
    return np.divide((a_RN * b_RN).sum(1), norms_R, out=np.zeros(len(norms_R)), where=norms_R > 0)
