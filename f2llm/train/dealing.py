"""Sequences of a global batch dealt to processes and chunks of about equal numbers of tokens."""

import heapq
import math
from collections.abc import Sequence


def deal(lengths: Sequence[int], *, processes: int, tokens_per_chunk: int) -> list[list[list[int]]]:
    """Return for each process its chunks, each a list of places in `lengths`, the same in every process.

    All processes get the same number of chunks, about as few as keep every chunk within
    `tokens_per_chunk`; only a sequence that is longer has a chunk above it. The longest sequence goes
    first, into the lightest chunk (longest processing time first, Graham 1969). A chunk may be empty.
    """
    most = max([tokens_per_chunk, *lengths])
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    chunks = max(1, math.ceil(sum(lengths) / (processes * tokens_per_chunk)))
    while True:
        heaviest, dealt = _deal_into(processes * chunks, order, lengths)
        if heaviest <= most:
            return [dealt[process::processes] for process in range(processes)]
        chunks += 1 + chunks // 16  # few tries even for a batch of thousands of chunks


def _deal_into(chunks: int, order: Sequence[int], lengths: Sequence[int]) -> tuple[int, list[list[int]]]:
    """Return the tokens of the heaviest chunk, and the chunks."""
    dealt: list[list[int]] = [[] for _ in range(chunks)]
    loads = [(0, number) for number in range(chunks)]
    for place in order:
        load, lightest = loads[0]
        dealt[lightest].append(place)
        heapq.heapreplace(loads, (load + lengths[place], lightest))
    return max(loads)[0], dealt
