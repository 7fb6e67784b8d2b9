"""Lengths of F2LLM's training data: its published table, and a draw of sequence lengths from it.

The table (f2llm_lengths.csv) is that of arXiv 2510.02294, tables 3 and 4: for each of the 60 sources the
number of tuples and of distinct passages, and the mean number of tokens of queries and passages under
Qwen3's tokenizer. No distribution is published, so documents are drawn from a log-normal with the table's
mean; sigma 0.6 is the middle of what natural texts show, 0.4 and 0.8 bound it.
Shapes: B tuples, K candidates of a tuple (the positive first).
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).with_name("f2llm_lengths.csv")
LONGEST = 1024  # tokens: F2LLM, arXiv 2510.02294, training settings
PREFIX = 14  # tokens of "Instruct: ...\nQuery: ", the same in all queries of a source
SHORTEST_QUERY, SHORTEST_PASSAGE = 3, 2
NEGATIVES = {"classification": 1, "clustering": 7, "retrieval": 7}
SIGMA = 0.6


class Source(NamedTuple):
    """A row of the table."""

    name: str
    task: str  # classification | clustering | retrieval
    tuples: int
    passages: int
    mean_query: int  # tokens, with the instruction
    mean_passage: int  # tokens


class Lengths(NamedTuple):
    """Tokens of the sequences of a batch."""

    query_B: NDArray[np.int64]
    candidate_BK: NDArray[np.int64]

    def sequences(self) -> NDArray[np.int64]:
        """Return the lengths of all sequences: queries, positives, then negatives tuple by tuple."""
        return np.concatenate([self.query_B, self.candidate_BK[:, 0], self.candidate_BK[:, 1:].ravel()])


def read_sources(path: str | Path = TABLE) -> tuple[Source, ...]:
    """Return the rows of the table in its order."""
    lines = [line for line in Path(path).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return tuple(
        Source(name, task, *(int(number) for number in numbers)) for name, task, *numbers in csv.reader(lines[1:])
    )


def mixture(sources: Sequence[Source], *, batches: int, seed: int) -> list[Source]:
    """Return the sources of so many batches, each source in proportion to its tuples.

    Systematic sampling: evenly spaced points on the cumulated tuples, shifted by one random number, so
    that few batches already look like the whole.
    """
    ends = np.cumsum([source.tuples for source in sources])
    points = (np.arange(batches) + _generator(seed, "mixture", 0).random()) / batches * ends[-1]
    return [sources[place] for place in np.searchsorted(ends, points, side="right")]


def draw_lengths(source: Source, *, tuples: int, seed: int, number: int = 0, sigma: float = SIGMA) -> Lengths:
    """Return the lengths of the `number`-th batch of a source; a function of the arguments alone.

    A query is a constant prefix and a log-normal body, a passage log-normal, both with the table's means
    before they are cut to LONGEST. The passages of classification are class names of one length.
    """
    generator = _generator(seed, source.name, number)
    body_B = _log_normal(generator, source.mean_query - PREFIX, (tuples,), sigma)
    query_B = np.clip(PREFIX + body_B, SHORTEST_QUERY, LONGEST)
    shape = (tuples, 1 + NEGATIVES[source.task])
    if source.task == "classification":
        return Lengths(query_B, np.full(shape, source.mean_passage + 1))  # with EOS
    return Lengths(query_B, _log_normal(generator, source.mean_passage, shape, sigma))


def _generator(seed: int, name: str, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(name.encode()), number])


def _log_normal(generator: np.random.Generator, mean: float, shape: tuple[int, ...], sigma: float) -> NDArray[np.int64]:
    """Return whole numbers with a given mean: a log-normal's is exp(mu + sigma^2 / 2)."""
    drawn = np.exp(generator.normal(np.log(max(mean, SHORTEST_PASSAGE)) - sigma**2 / 2, sigma, shape))
    return np.clip(np.rint(drawn), SHORTEST_PASSAGE, LONGEST).astype(np.int64)
