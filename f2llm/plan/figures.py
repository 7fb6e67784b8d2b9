"""The work in a plan, counted exactly while it is written: tokens, padding saved, balance of the processes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from f2llm.config.train import Train
from f2llm.models.packing import deal
from f2llm.plan.tuples import Tuples

# Dealing every step of a long plan would take minutes and give the same balance.
STEPS_DEALT = 200
# Numbers of processes for which the balance is counted, besides the configured one.
WORLDS = (2, 8, 16, 32)


class Figures:
    """Counts over all batches of a plan.

    `tokens` are those that training computes: queries and distinct passages of each batch. `padded_tokens` are those
    of the usual layout: the sequences of all tuples of a batch in one tensor, as wide as the longest.
    """

    def __init__(self, settings: Train) -> None:
        self._settings = settings
        processes = settings.processes * settings.nodes
        self.steps = self.tokens = self.padded_tokens = self.longest_sequence = self.largest_step = 0
        self._step_tokens = 0
        self.rows: Counter[str] = Counter()
        self._balance: dict[int, list[float]] = {size: [] for size in sorted({*WORLDS, processes} - {1})}

    def add(
        self, step: int, rows: NDArray[np.int64], negatives: Sequence[NDArray[np.int32]], *, tuples: Tuples
    ) -> list[int]:
        """Count one batch of a step; returns the tokens of each tuple.

        `rows` are those of the batch's tuples, `negatives` the corpus rows of the negatives drawn for each of them.
        """
        queries = tuples.query_tokens[tuples.query_rows[rows]]
        positives = tuples.positive_rows[rows]
        passages = np.unique(np.concatenate([positives, *negatives]))
        lengths = np.concatenate([queries, tuples.passage_tokens[passages]])
        self._step_tokens = int(lengths.sum()) + (self._step_tokens if step < self.steps else 0)
        self.largest_step = max(self.largest_step, self._step_tokens)
        self.steps = step + 1
        self.tokens += int(lengths.sum())
        self.padded_tokens += int(lengths.max()) * sum(2 + len(drawn) for drawn in negatives)
        self.longest_sequence = max(self.longest_sequence, int(lengths.max()))
        self.rows[tuples.name] += len(rows)
        if step < STEPS_DEALT:
            self._deal(lengths.tolist())
        parts = zip(queries, tuples.passage_tokens[positives], negatives, strict=True)
        return [int(query + positive + tuples.passage_tokens[drawn].sum()) for query, positive, drawn in parts]

    def counts(self) -> dict[str, Any]:
        """All figures as plain JSON. `balance`, by number of processes, is max / mean tokens of a process."""
        return {
            "steps": self.steps,
            "rows": sum(self.rows.values()),
            "rows_per_source": dict(sorted(self.rows.items())),
            "tokens": self.tokens,
            "padded_tokens": self.padded_tokens,
            "padded_over_useful": round(self.padded_tokens / max(1, self.tokens), 3),
            "longest_sequence": self.longest_sequence,
            "largest_step": self.largest_step,
            "balance": {
                str(size): round(float(np.mean(ratios)), 4) for size, ratios in self._balance.items() if ratios
            },
        }

    def _deal(self, lengths: list[int]) -> None:
        for size, ratios in self._balance.items():
            dealt = deal(lengths, processes=size, tokens_per_chunk=self._settings.tokens_per_chunk)
            loads = [sum(lengths[place] for chunk in chunks for place in chunk) for chunks in dealt]
            ratios.append(max(loads) * size / sum(loads))
