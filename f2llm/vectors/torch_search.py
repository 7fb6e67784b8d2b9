"""Exact search with torch, on the CPU or on the current CUDA device. Shapes: as in f2llm/vectors/scores.py."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from f2llm.vectors.scores import FLOAT32_ERROR, NO_ROW, TENSOR_CORE_ERROR, VALUES_AT_ONCE, Nearest, check_error
from f2llm.vectors.store import VectorView

if TYPE_CHECKING:
    import torch

BLOCK_ROWS = 16_384
CUDA_BLOCK_ROWS = 262_144
# Candidates of all queries searched at once, 12 bytes each in a few copies: bounds memory.
ENTRIES = 1 << 20
CUDA_ENTRIES = 1 << 26
# Numbers of each side that are multiplied at once.
CUDA_VALUES = 1 << 27
# Bytes of scores in memory at once.
TILE_BYTES = 1 << 26
CUDA_TILE_BYTES = 1 << 32
# Neighbouring scores of which the highest stands for all while groups are chosen.
GROUP = 64


class Torch:
    """torch on the CPU or on the current CUDA device: products, selection and canonical scores there."""

    exact = True
    most = None

    def __init__(self, *, threads: int, device: str, block_rows: int | None = None) -> None:
        import torch

        self._device, cuda = torch.device(device), device == "cuda"
        self.block_rows = block_rows or (CUDA_BLOCK_ROWS if cuda else BLOCK_ROWS)
        self.entries = CUDA_ENTRIES if cuda else ENTRIES
        self._error = TENSOR_CORE_ERROR if cuda else FLOAT32_ERROR
        self._tile_bytes = CUDA_TILE_BYTES if cuda else TILE_BYTES
        self._values = CUDA_VALUES if cuda else VALUES_AT_ONCE
        torch.set_num_threads(threads)

    def nearest(
        self, queries_QD: NDArray[np.float16], passages: VectorView, count: int, *, wanted: NDArray[np.int64]
    ) -> Nearest:
        """Return `count` candidates of each query; all of them, the queries and one block are on the device."""
        import torch

        asked_QD = self._there(queries_QD)
        shape = (len(queries_QD), count)
        near_QK = torch.full(shape, -torch.inf, device=self._device)
        rows_QK = torch.full(shape, NO_ROW, dtype=torch.int64, device=self._device)
        for first, block in passages.blocks(self.block_rows) if count else ():
            self._merge(asked_QD, self._there(block), first, near_QK, rows_QK)
        scores_QK = self._canonical(asked_QD, passages, rows_QK)
        off_P = (scores_QK - near_QK)[rows_QK != NO_ROW].abs()
        check_error(float(off_P.max()) if len(off_P) else 0.0, self._error)
        rows_QK, order = rows_QK.sort(dim=1)
        scores_QK, order = scores_QK.gather(1, order).sort(dim=1, descending=True, stable=True)
        least_Q = near_QK.amin(1).double() + self._error if count else torch.full(shape[:1], torch.inf)
        return Nearest(scores_QK.cpu().numpy(), rows_QK.gather(1, order).cpu().numpy(), least_Q.cpu().numpy())

    def score(
        self, queries_QD: NDArray[np.floating], block_ND: NDArray[np.float16], query_P: NDArray[np.int64],
        at_P: NDArray[np.int64],
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return the canonical score of each (query, passage of the block)."""
        there = (self._there(part) for part in (queries_QD, block_ND, query_P, at_P))
        return self._score(*there).cpu().numpy()

    def _there(self, array: NDArray) -> "torch.Tensor":  # type: ignore[type-arg]
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _merge(
        self, asked_QD: "torch.Tensor", block_ND: "torch.Tensor", first: int, near_QK: "torch.Tensor",
        rows_QK: "torch.Tensor",
    ) -> None:  # fmt: skip
        """Put the candidates of a block among those found before, a tile of queries at a time."""
        import torch

        count = near_QK.shape[1]
        tile = max(1, self._tile_bytes // (4 * len(block_ND)))
        turned_DN = block_ND.T if self._device.type == "cuda" else block_ND.float().T
        for start in range(0, len(asked_QD), tile):
            part = slice(start, start + tile)
            scores_QN = _products(asked_QD[part], turned_DN)
            best, at = _best(scores_QN, min(count, len(block_ND)))
            best, at = torch.cat([near_QK[part], best], 1), torch.cat([rows_QK[part], at + first], 1)
            near_QK[part], order = best.topk(count, dim=1)
            rows_QK[part] = at.gather(1, order)

    def _canonical(self, asked_QD: "torch.Tensor", passages: VectorView, rows_QK: "torch.Tensor") -> "torch.Tensor":
        import torch

        scores_QK = torch.full(rows_QK.shape, -torch.inf, device=self._device)
        for first, block in passages.blocks(self.block_rows) if rows_QK.numel() else ():
            inside = (rows_QK >= first) & (rows_QK < first + len(block))
            query_P = inside.nonzero()[:, 0]
            scores_QK[inside] = self._score(asked_QD, self._there(block), query_P, rows_QK[inside] - first)
        return scores_QK

    def _score(
        self, asked_QD: "torch.Tensor", block_ND: "torch.Tensor", query_P: "torch.Tensor", at_P: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        scores_P = torch.empty(len(at_P), device=self._device)
        step = max(1, self._values // max(1, block_ND.shape[1]))
        for start in range(0, len(at_P), step):
            part = slice(start, start + step)
            exact_PD = block_ND[at_P[part]].float() * asked_QD[query_P[part]].float()
            scores_P[part] = exact_PD.sum(1, dtype=torch.float64).float()
        return scores_P


def _products(asked_QD: "torch.Tensor", turned_DN: "torch.Tensor") -> "torch.Tensor":
    import torch

    if asked_QD.device.type == "cuda":
        return torch.mm(asked_QD, turned_DN, out_dtype=torch.float32)
    return asked_QD.float() @ turned_DN


def _best(scores_QN: "torch.Tensor", count: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Return the `count` highest scores and their places.

    Only groups whose maximum is among the `count` highest maxima can hold one of them (save for ties), so
    long rows are read twice: once for the maxima, once for the chosen groups.
    """
    import torch

    groups = scores_QN.shape[1] // GROUP
    if groups < 4 * count:
        return scores_QN.topk(count, dim=1)
    whole = groups * GROUP
    grouped = scores_QN[:, :whole].unflatten(1, (groups, GROUP))
    chosen = grouped.amax(2).topk(count, dim=1).indices
    picked = grouped.gather(1, chosen[..., None].expand(-1, -1, GROUP)).flatten(1)
    places = (chosen[..., None] * GROUP + torch.arange(GROUP, device=chosen.device)).flatten(1)
    rest = torch.arange(whole, scores_QN.shape[1], device=chosen.device).expand(len(chosen), -1)
    picked, places = torch.cat([picked, scores_QN[:, whole:]], 1), torch.cat([places, rest], 1)
    best, at = picked.topk(count, dim=1)
    return best, places.gather(1, at)
