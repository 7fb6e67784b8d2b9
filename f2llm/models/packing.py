"""Sequences laid end to end in packs, and dealt to processes and chunks."""

import heapq
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Pack(NamedTuple):
    """Sequences end to end, longest first.

    Attributes:
        tokens_1T: token ids, int64.
        positions_1T: position of each token in its own sequence, int64.
        starts: offset of each sequence and the total, int32 [S + 1].
        lengths: tokens of each sequence, descending.
        last_S: place in T of the last token of each sequence, in the order in which the sequences were given.
    """

    tokens_1T: "torch.Tensor"
    positions_1T: "torch.Tensor"
    starts: "torch.Tensor"
    lengths: tuple[int, ...]
    last_S: "torch.Tensor"


def pack(sequences: Sequence[NDArray[np.int32]], *, device: "torch.device | str" = "cpu") -> Pack:
    """Lay `sequences` (each at least one token) end to end on `device`, longest first."""
    import torch

    order = sorted(range(len(sequences)), key=lambda place: -len(sequences[place]))
    lengths = np.array([len(sequences[place]) for place in order], np.int64)
    if lengths[-1] == 0:
        raise ValueError("a sequence without tokens has no last token")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    last_S = np.empty(len(sequences), np.int64)
    last_S[order] = starts[1:] - 1
    tokens_T = np.concatenate([sequences[place] for place in order]).astype(np.int64)
    positions_T = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    return Pack(
        tokens_1T=torch.from_numpy(tokens_T)[None].to(device),
        positions_1T=torch.from_numpy(positions_T)[None].to(device),
        starts=torch.from_numpy(starts.astype(np.int32)).to(device),
        lengths=tuple(lengths.tolist()),
        last_S=torch.from_numpy(last_S).to(device),
    )


def deal(lengths: Sequence[int], *, processes: int, tokens_per_chunk: int) -> list[list[list[int]]]:
    """For each process its chunks, each a list of places in `lengths`; every process computes the same answer.

    All processes get the same number of chunks, about as few as keep every chunk within `tokens_per_chunk`; only a
    longer sequence makes a larger chunk. The longest sequence goes first, each into the lightest chunk (longest
    processing time first, Graham 1969). A chunk may be empty.
    """
    most = max([tokens_per_chunk, *lengths])
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    chunks = max(1, math.ceil(sum(lengths) / (processes * tokens_per_chunk)))
    while True:
        heaviest, dealt = _deal_into(processes * chunks, order, lengths)
        if heaviest <= most:
            return [dealt[process::processes] for process in range(processes)]
        chunks += 1 + chunks // 16  # by 6 % each time: few tries even for a batch of thousands of chunks


def _deal_into(chunks: int, order: Sequence[int], lengths: Sequence[int]) -> tuple[int, list[list[int]]]:
    """The tokens of the heaviest chunk, and the chunks as lists of places."""
    dealt: list[list[int]] = [[] for _ in range(chunks)]
    loads = [(0, number) for number in range(chunks)]  # a heap of (tokens, chunk)
    for place in order:
        load, lightest = loads[0]
        dealt[lightest].append(place)
        heapq.heapreplace(loads, (load + lengths[place], lightest))
    return max(loads)[0], dealt
