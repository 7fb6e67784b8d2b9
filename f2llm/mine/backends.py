"""What finds and scores candidates: faiss or torch, on a CPU or a CUDA device, behind one interface.

A back end finds the nearest passages by products whose last bits depend on block size, threads and
device, then computes the canonical score of each from the stored float16 vectors: their products
are exact in float32 (11 x 11 bits) and multiples of 2**-48, and for unit vectors every partial sum
stays below 2, so a float64 sum of them is exact in any order. Rounded once to float32 it is the same
on every machine. Shapes: Q queries, K candidates, N passages of a block, P pairs, D dimensions.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from f2llm.encode.store import VectorView
from f2llm.errors import InputError

if TYPE_CHECKING:
    import torch

NO_ROW = -1
CPU_BLOCK_ROWS = 16_384
CUDA_BLOCK_ROWS = 262_144
# Candidates of all queries searched at once, 12 bytes each in a few copies: bounds memory.
CPU_ENTRIES = 1 << 20
CUDA_ENTRIES = 1 << 26
# A float32 product of unit vectors is closer than half of this to the exact one (5.5e-7 seen at D = 384).
FLOAT32_ERROR = 2e-6
# Tensor cores add float16 products in float32 with coarser rounding.
TENSOR_CORE_ERROR = 1e-4
# Numbers of each side that are multiplied at once.
CPU_VALUES = 1 << 20
CUDA_VALUES = 1 << 27
# Bytes of scores in memory at once.
CPU_TILE_BYTES = 1 << 26
CUDA_TILE_BYTES = 1 << 32
# The most that faiss can select on a GPU.
MOST_ON_GPU = 2048
GROUP = 64
CUDA_DRIVER = Path("/dev/nvidiactl")


class Nearest(NamedTuple):
    """Candidates of some queries: [Q, K] canonical scores, descending, then rows, ascending; padding last."""

    scores: NDArray[np.float32]  # -inf where there is no row
    rows: NDArray[np.int64]  # NO_ROW where the search found fewer than asked for
    bound: NDArray[np.float64]  # [Q] no passage that was not found has a canonical score above this


class Backend(Protocol):
    """A search over streamed blocks.

    Attributes:
        exact: the bound of `nearest` holds.
        block_rows: passages in memory at once.
        entries: candidates of all queries to search at once.
        most: candidates that a query can have; more are found by `Faiss`.
    """

    exact: bool
    block_rows: int
    entries: int
    most: int | None

    def nearest(self, queries_QD: NDArray[np.float16], passages: VectorView, count: int) -> Nearest:
        """Return `count` candidates of each query."""

    def score(
        self, queries_QD: NDArray[np.float16], block_ND: NDArray[np.float16], query_P: NDArray[np.int64],
        at_P: NDArray[np.int64],
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return the canonical score of each (query, passage of the block)."""


class Faiss:
    """faiss on the CPU, or on the current CUDA device with float16 blocks."""

    exact = True

    def __init__(self, *, threads: int, gpu: bool = False, block_rows: int | None = None) -> None:
        # Its loader reports every build of itself that it tries.
        logging.getLogger("faiss.loader").setLevel(logging.WARNING)
        import faiss

        faiss.omp_set_num_threads(threads)
        self.block_rows = block_rows or (CUDA_BLOCK_ROWS if gpu else CPU_BLOCK_ROWS)
        self.entries, self.most = CPU_ENTRIES, MOST_ON_GPU if gpu else None
        self._error = TENSOR_CORE_ERROR if gpu else FLOAT32_ERROR
        self._resources = faiss.StandardGpuResources() if gpu else None

    def nearest(self, queries_QD: NDArray[np.float16], passages: VectorView, count: int) -> Nearest:
        """Return `count` candidates of each query; a block of passages is in memory twice."""
        import faiss

        scores = np.full((len(queries_QD), count), -np.inf, np.float32)
        rows = np.full((len(queries_QD), count), NO_ROW, np.int64)
        asked_QD = queries_QD if self._resources else queries_QD.astype(np.float32)
        for first, block in passages.blocks(self.block_rows) if count else ():
            taken = min(count, len(block))
            more = ((0, 0), (0, count - taken))
            near_scores, near_at = self._knn(asked_QD, block, taken)
            near_scores = np.pad(near_scores, more, constant_values=-np.inf)
            near_rows = np.pad(near_at + first, more, constant_values=NO_ROW)
            if first == 0:
                scores, rows = near_scores, near_rows
                continue
            scores, rows = faiss.merge_knn_results(
                np.stack([scores, near_scores]), np.stack([rows, near_rows]), keep_max=True
            )
        return ordered(self, queries_QD, passages, scores, rows, error=self._error)

    def score(
        self, queries_QD: NDArray[np.float16], block_ND: NDArray[np.float16], query_P: NDArray[np.int64],
        at_P: NDArray[np.int64],
    ) -> NDArray[np.float32]:  # fmt: skip
        """Return the canonical score of each (query, passage of the block)."""
        return score_on_cpu(queries_QD, block_ND, query_P, at_P)

    def _knn(
        self, asked_QD: NDArray[np.floating], block_ND: NDArray[np.float16], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        import faiss

        metric = faiss.METRIC_INNER_PRODUCT
        if not self._resources:
            return faiss.knn(asked_QD, block_ND.astype(np.float32), count, metric=metric)
        limit = {"vectorsMemoryLimit": CUDA_TILE_BYTES, "queriesMemoryLimit": CUDA_TILE_BYTES}
        return faiss.knn_gpu(self._resources, asked_QD, block_ND, count, metric=metric, **limit)


class Torch:
    """torch on the CPU or on the current CUDA device: products, selection and canonical scores there."""

    exact = True
    most = None

    def __init__(self, *, threads: int, device: str, block_rows: int | None = None) -> None:
        import torch

        self._device, cuda = torch.device(device), device == "cuda"
        self.block_rows = block_rows or (CUDA_BLOCK_ROWS if cuda else CPU_BLOCK_ROWS)
        self.entries = CUDA_ENTRIES if cuda else CPU_ENTRIES
        self._error = TENSOR_CORE_ERROR if cuda else FLOAT32_ERROR
        self._tile_bytes = CUDA_TILE_BYTES if cuda else CPU_TILE_BYTES
        self._values = CUDA_VALUES if cuda else CPU_VALUES
        torch.set_num_threads(threads)

    def nearest(self, queries_QD: NDArray[np.float16], passages: VectorView, count: int) -> Nearest:
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
        self, queries_QD: NDArray[np.float16], block_ND: NDArray[np.float16], query_P: NDArray[np.int64],
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


def choose(*, backend: str, device: str, threads: int, block_rows: int | None = None) -> Backend:
    """Return the back end that the settings `backend` and `device` of `mine` name; all give the same results.

    Raises:
        InputError: CUDA is asked for and absent, or faiss on CUDA without its GPU build.
    """
    cuda = resolve_device(device) == "cuda"
    if backend == "torch" or (backend == "auto" and cuda and not _faiss_gpus()):
        return Torch(threads=threads, device="cuda" if cuda else "cpu", block_rows=block_rows)
    if cuda and not _faiss_gpus():
        raise InputError(
            "mine.backend: faiss on CUDA needs the package faiss-gpu, here is faiss-cpu; install the extra `gpu` instead "
            "of `cpu`, or set mine.backend: torch"
        )
    return Faiss(threads=threads, gpu=cuda, block_rows=block_rows)


def resolve_device(device: str) -> str:
    """Return "cuda" or "cpu" for the setting auto, cpu or cuda.

    Raises:
        InputError: cuda is asked for and absent.
    """
    if device == "cpu" or (device == "auto" and not CUDA_DRIVER.exists()):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise InputError(
            "mine.device: cuda is asked for, torch sees no CUDA device on this machine; run where there is one "
            "(nvidia-smi lists them), or set mine.device: auto"
        )
    return "cpu"


def ordered(
    backend: Backend, queries_QD: NDArray[np.float16], passages: VectorView, near: NDArray[np.float32],
    rows: NDArray[np.int64], *, error: float,
) -> Nearest:  # fmt: skip
    """Return candidates with canonical scores, in canonical order, with the bound on what was not found.

    `near` are their scores as the search computed them, within half of `error` of the canonical ones.
    """
    query_P, at_P = np.nonzero(rows != NO_ROW)
    scores = np.full(rows.shape, -np.inf, np.float32)
    scores[query_P, at_P] = score_pairs(backend, queries_QD, passages, query_P=query_P, row_P=rows[query_P, at_P])
    if np.isfinite(error):
        check_error(float(np.abs(scores - near)[query_P, at_P].max(initial=0.0)), error)
    order = np.lexsort((rows, -scores), axis=1)
    bound = near.min(axis=1, initial=np.inf).astype(np.float64) + error
    return Nearest(np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1), bound)


def score_pairs(
    backend: Backend, queries_QD: NDArray[np.float16], passages: VectorView, *, query_P: NDArray[np.int64],
    row_P: NDArray[np.int64],
) -> NDArray[np.float32]:  # fmt: skip
    """Return the canonical score of each pair (query position, passage row), [P]; a passage is read once."""
    scores_P = np.empty(len(row_P), np.float32)
    order = np.argsort(row_P, kind="stable")
    rows, starts = np.unique(row_P[order], return_index=True)
    starts = np.append(starts, len(order))
    for first in range(0, len(rows), backend.block_rows):
        last = min(first + backend.block_rows, len(rows))
        part = order[starts[first] : starts[last]]
        at_P = np.repeat(np.arange(last - first), np.diff(starts[first : last + 1]))
        scores_P[part] = backend.score(queries_QD, passages.rows(rows[first:last]), query_P[part], at_P)
    return scores_P


def score_on_cpu(
    queries_QD: NDArray[np.float16], block_ND: NDArray[np.float16], query_P: NDArray[np.int64], at_P: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the canonical score of each (query, passage of the block), [P]."""
    # Widened once: numpy's conversion of float16 costs more than the products.
    asked_QD, wide_ND = queries_QD.astype(np.float32), block_ND.astype(np.float32)
    scores_P = np.empty(len(at_P), np.float32)
    step = max(1, CPU_VALUES // max(1, block_ND.shape[1]))
    for start in range(0, len(at_P), step):
        part = slice(start, start + step)
        exact_PD = wide_ND[at_P[part]]
        exact_PD *= asked_QD[query_P[part]]
        scores_P[part] = exact_PD.sum(1, dtype=np.float64)
    return scores_P


def check_error(worst: float, error: float) -> None:
    """Refuse scores that lie further from the canonical ones than the proof of completeness allows.

    Raises:
        InputError: more than half of `error`.
    """
    if not worst <= error / 2:
        raise InputError(
            f"mine: the search's scores are off by up to {worst:.1e}, its lists are proven for {error / 2:.1e} only; "
            "set another mine.backend or mine.device: cpu"
        )


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


def _faiss_gpus() -> int:
    import faiss

    return faiss.get_num_gpus()
