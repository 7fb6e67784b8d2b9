"""Exact search with torch, on the CPU or on the current CUDA device. Shapes as in f2llm/vectors/scores.py."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from f2llm.vectors.scores import FLOAT32_ERROR, NO_ROW, TENSOR_CORE_ERROR, VALUES_AT_ONCE, Backend, Nearest, check_error
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
# Size of a group of neighbouring scores, whose highest one stands for the group in the first selection.
GROUP = 64


class Torch(Backend):
    """Exact search whose products, selection and canonical scores are all computed on one device."""

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
        """`count` candidates of each query; these, the queries and one block of passages are on the device."""
        import torch

        device_QD = self._on_device(queries_QD)
        shape = (len(queries_QD), count)
        near_QK = torch.full(shape, -torch.inf, device=self._device)
        rows_QK = torch.full(shape, NO_ROW, dtype=torch.int64, device=self._device)
        for first, block in passages.blocks(self.block_rows) if count else ():
            self._merge(device_QD, self._on_device(block), first, near_QK, rows_QK)
        scores_QK = self._canonical(device_QD, passages, rows_QK)
        error_P = (scores_QK - near_QK)[rows_QK != NO_ROW].abs()
        check_error(float(error_P.max()) if len(error_P) else 0.0, self._error)
        # Canonical order: by score, equal scores by row, as the second sort keeps the order of the first.
        rows_QK, order = rows_QK.sort(dim=1)
        scores_QK, order = scores_QK.gather(1, order).sort(dim=1, descending=True, stable=True)
        bound_Q = near_QK.amin(1).double() + self._error if count else torch.full(shape[:1], torch.inf)
        return Nearest(scores_QK.cpu().numpy(), rows_QK.gather(1, order).cpu().numpy(), bound_Q.cpu().numpy())

    def score(
        self, queries_QD: NDArray[np.floating], block_ND: NDArray[np.float16], query_P: NDArray[np.int64],
        row_P: NDArray[np.int64],
    ) -> NDArray[np.float32]:  # fmt: skip
        """Canonical scores [P] of pairs: row of `queries_QD`, row of `block_ND`."""
        return self._score(*map(self._on_device, (queries_QD, block_ND, query_P, row_P))).cpu().numpy()

    def _on_device(self, array: NDArray) -> "torch.Tensor":  # type: ignore[type-arg]
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _merge(
        self, queries_QD: "torch.Tensor", block_ND: "torch.Tensor", first: int, near_QK: "torch.Tensor",
        rows_QK: "torch.Tensor",
    ) -> None:  # fmt: skip
        """Update the candidates with those of a block, whose first row is `first`, a tile of queries at a time."""
        import torch

        count = near_QK.shape[1]
        queries_at_once = max(1, self._tile_bytes // (4 * len(block_ND)))
        block_DN = block_ND.T if self._device.type == "cuda" else block_ND.float().T
        for start in range(0, len(queries_QD), queries_at_once):
            tile = slice(start, start + queries_at_once)
            scores, block_rows = _best(_products(queries_QD[tile], block_DN), min(count, len(block_ND)))
            scores, rows = torch.cat([near_QK[tile], scores], 1), torch.cat([rows_QK[tile], block_rows + first], 1)
            near_QK[tile], order = scores.topk(count, dim=1)
            rows_QK[tile] = rows.gather(1, order)

    def _canonical(self, queries_QD: "torch.Tensor", passages: VectorView, rows_QK: "torch.Tensor") -> "torch.Tensor":
        import torch

        scores_QK = torch.full(rows_QK.shape, -torch.inf, device=self._device)
        for first, block in passages.blocks(self.block_rows) if rows_QK.numel() else ():
            inside = (rows_QK >= first) & (rows_QK < first + len(block))
            query_P = inside.nonzero()[:, 0]
            scores_QK[inside] = self._score(queries_QD, self._on_device(block), query_P, rows_QK[inside] - first)
        return scores_QK

    def _score(
        self, queries_QD: "torch.Tensor", block_ND: "torch.Tensor", query_P: "torch.Tensor", row_P: "torch.Tensor"
    ) -> "torch.Tensor":
        import torch

        scores_P = torch.empty(len(row_P), device=self._device)
        pairs_at_once = max(1, self._values // max(1, block_ND.shape[1]))
        for start in range(0, len(row_P), pairs_at_once):
            pairs = slice(start, start + pairs_at_once)
            products_PD = block_ND[row_P[pairs]].float() * queries_QD[query_P[pairs]].float()
            scores_P[pairs] = products_PD.sum(1, dtype=torch.float64).float()
        return scores_P


def _products(queries_QD: "torch.Tensor", block_DN: "torch.Tensor") -> "torch.Tensor":
    import torch

    if queries_QD.device.type == "cuda":
        return torch.mm(queries_QD, block_DN, out_dtype=torch.float32)
    return queries_QD.float() @ block_DN


def _best(scores_QN: "torch.Tensor", count: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """The `count` highest scores of each row of [Q, N], and their columns.

    Only groups whose maximum is among the `count` highest maxima can hold one of them (save for ties). So of a long row
    only the maxima of all groups, the chosen groups, and the columns that fill no group are selected from.
    """
    import torch

    groups = scores_QN.shape[1] // GROUP
    if groups < 4 * count:
        return scores_QN.topk(count, dim=1)
    grouped_end = groups * GROUP
    grouped = scores_QN[:, :grouped_end].unflatten(1, (groups, GROUP))
    chosen = grouped.amax(2).topk(count, dim=1).indices
    scores = grouped.gather(1, chosen[..., None].expand(-1, -1, GROUP)).flatten(1)
    columns = (chosen[..., None] * GROUP + torch.arange(GROUP, device=chosen.device)).flatten(1)
    rest = torch.arange(grouped_end, scores_QN.shape[1], device=chosen.device).expand(len(chosen), -1)
    scores, columns = torch.cat([scores, scores_QN[:, grouped_end:]], 1), torch.cat([columns, rest], 1)
    best, order = scores.topk(count, dim=1)
    return best, columns.gather(1, order)
