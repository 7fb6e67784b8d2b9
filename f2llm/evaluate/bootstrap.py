"""Is the difference between two models more than chance? Paired bootstrap over the items of a task.

Each draw takes items with replacement, the same ones for both models (Efron and Tibshirani 1993, chapter 16; for
retrieval Sakai 2006). Draws are seeded by the task's name, so the interval is the same in every run.
Shapes: N items, R draws.
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
# Bounds memory: items of all draws that are in memory at once.
DRAWN_AT_ONCE = 4_000_000


class PairedDifference(NamedTuple):
    """A model's score less another's on one task, in points, with the interval that holds 95 % of the draws."""

    task: str
    items: int
    points: float
    low: float
    high: float
    real: bool  # the interval is on one side of zero


class ItemScores(NamedTuple):
    """A model's scores of the items of a task by (split, subset, item), and gold scores where cosines are ranked."""

    score: Mapping[tuple[str, str, str], float]
    gold: Mapping[tuple[str, str, str], float | None]


def read_items(path: str | Path) -> ItemScores:
    """Read a table of schema ITEMS (f2llm/evaluate/items.py)."""
    columns = read_table(path).to_pydict()
    keys = list(zip(columns["split"], columns["subset"], columns["item"], strict=True))
    return ItemScores(*(dict(zip(keys, columns[name], strict=True)) for name in ItemScores._fields))


def paired_bootstrap(
    task: str, first: ItemScores, second: ItemScores, *, draws: int = DRAWS
) -> PairedDifference | None:
    """`first` less `second`; None where they have other items, or fewer than FEWEST_ITEMS."""
    if first.score.keys() != second.score.keys() or len(first.score) < FEWEST_ITEMS:
        return None
    keys = sorted(first.score)
    first_N = np.array([first.score[key] for key in keys])
    second_N = np.array([second.score[key] for key in keys])
    gold = [first.gold[key] for key in keys]
    gold_N = None if None in gold else np.array(gold)
    seed = int.from_bytes(hashlib.blake2b(task.encode(), digest_size=8).digest(), "little")
    generator, of_draws = np.random.Generator(np.random.PCG64(seed)), []
    draws_at_once = max(1, DRAWN_AT_ONCE // len(keys))
    for start in range(0, draws, draws_at_once):
        rows_RN = generator.integers(0, len(keys), (min(draws_at_once, draws - start), len(keys)))
        of_draws.append(_differences(first_N, second_N, gold_N, rows_RN))
    low, high = np.quantile(100 * np.concatenate(of_draws), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    every_row_1N = np.arange(len(keys))[None]
    points = 100 * float(_differences(first_N, second_N, gold_N, every_row_1N)[0])
    return PairedDifference(
        task=task,
        items=len(keys),
        points=round(points, 4),
        low=round(float(low), 4),
        high=round(float(high), 4),
        real=bool(low > 0 or high < 0),
    )


def _differences(
    first_N: NDArray[np.float64],
    second_N: NDArray[np.float64],
    gold_N: NDArray[np.float64] | None,
    rows_RN: NDArray[np.int64],
) -> NDArray[np.float64]:
    """The difference [R] of the means, or of Spearman's correlations with the gold scores, of each draw."""
    if gold_N is None:
        return (first_N - second_N)[rows_RN].mean(1)
    gold_RN = gold_N[rows_RN]
    return _spearman(first_N[rows_RN], gold_RN) - _spearman(second_N[rows_RN], gold_RN)


def _spearman(scores_RN: NDArray[np.float64], gold_RN: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation [R] of the ranks; 0 where all scores of a draw are equal."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=1) for values in (scores_RN, gold_RN)]
    scores_RN, gold_RN = (ranks_RN - ranks_RN.mean(1, keepdims=True) for ranks_RN in ranks)
    norms_R = np.sqrt((scores_RN**2).sum(1) * (gold_RN**2).sum(1))
    return np.divide((scores_RN * gold_RN).sum(1), norms_R, out=np.zeros(len(norms_R)), where=norms_R > 0)
