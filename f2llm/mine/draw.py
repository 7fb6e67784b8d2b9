"""Positives and negatives of texts that have a class: drawn by keyed hash of (seed, query id) alone.

F2LLM (arXiv 2510.02294, data): a clustering tuple is a text, another text of its class, and
texts of other classes.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from f2llm.records.ids import keyed_hash

STAGE = "draw"


class Draw(NamedTuple):
    """The positive and the negatives drawn for one text, as passage rows."""

    positive: int
    negatives: tuple[int, ...]


class Classes:
    """Texts by class, in an order that depends on their contents alone.

    `rows` are the passages of the texts (rows of a table sorted by id), `labels` their classes.
    Texts with equal `keys` are the same text and are never drawn for each other.
    """

    def __init__(self, rows: Sequence[int], *, labels: Sequence[str], keys: Sequence[str]) -> None:
        ordered = sorted(zip(labels, rows, keys, strict=True))
        self._rows = [row for _, row, _ in ordered]
        self._keys = [key for _, _, key in ordered]
        self._with_key = Counter(self._keys)
        self._with_label_and_key = Counter((label, key) for label, _, key in ordered)
        self._span: dict[str, tuple[int, int]] = {}  # label -> where its texts begin and end
        for place, (label, _, _) in enumerate(ordered):
            self._span[label] = (self._span.get(label, (place, 0))[0], place + 1)

    def partners(self, *, label: str, key: str) -> int:
        """How many other texts the class has."""
        start, stop = self._span.get(label, (0, 0))
        return stop - start - self._with_label_and_key[label, key]

    def others(self, *, label: str, key: str) -> int:
        """How many texts the other classes have."""
        start, stop = self._span.get(label, (0, 0))
        return len(self._rows) - (stop - start) - (self._with_key[key] - self._with_label_and_key[label, key])

    def draw(self, query: bytes, *, label: str, key: str, negatives: int, seed: int) -> Draw:
        """A positive of the same class and `negatives` distinct texts of other classes.

        Draw i is number keyed_hash(seed, "draw", query, role, i) of the texts to choose from; the text itself and
        texts drawn before are drawn again. There must be enough `partners` and `others`.
        """
        start, stop = self._span[label]
        positive = self._distinct(1, query, "positive", key=key, seed=seed, low=start, high=stop, gap=(0, 0))
        drawn = self._distinct(
            negatives, query, "negative", key=key, seed=seed, low=0, high=len(self._rows), gap=(start, stop)
        )
        return Draw(positive[0], drawn)

    def _distinct(
        self, count: int, query: bytes, role: str, *, key: str, seed: int, low: int, high: int, gap: tuple[int, int]
    ) -> tuple[int, ...]:
        """`count` distinct rows of the places low..high (exclusive) without those of the gap."""
        drawn: dict[int, None] = {}
        number, places = 0, high - low - (gap[1] - gap[0])
        while len(drawn) < count:
            place = low + keyed_hash(seed, STAGE, query, role, number) % places
            place += gap[1] - gap[0] if place >= gap[0] else 0  # over the text's own class
            number += 1
            if self._keys[place] != key:
                drawn[place] = None
        return tuple(self._rows[place] for place in drawn)
