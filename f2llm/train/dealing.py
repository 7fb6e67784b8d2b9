"""Sequences of a global batch dealt to processes and chunks of about equal numbers of tokens."""

import heapq
import math
from collections.abc import Sequence


def deal(lengths: Sequence[int], *, processes: int, tokens_per_chunk: int) -> list[list[list[int]]]:
    """Return for each process its chunks, each a list of places in `lengths`, the same in every process.

    All processes get the same number of chunks, as many as keep the average chunk within
    `tokens_per_chunk`. The longest sequence goes first, into the lightest chunk (longest processing
    time first, Graham 1969). A chunk may be empty.
    """
    chunks = max(1, math.ceil(sum(lengths) / (processes * tokens_per_chunk)))
    dealt: list[list[int]] = [[] for _ in range(processes * chunks)]
    loads = [(0, place) for place in range(len(dealt))]
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        load, lightest = loads[0]
        dealt[lightest].append(place)
        heapq.heapreplace(loads, (load + lengths[place], lightest))
    return [dealt[process::processes] for process in range(processes)]
