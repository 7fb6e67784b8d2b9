"""Exact search with faiss, on the CPU or on the current CUDA device. Shapes as in f2llm/vectors/scores.py."""

import importlib
import logging
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from f2llm.models.device import cpu_flags
from f2llm.vectors.scores import FLOAT32_ERROR, TENSOR_CORE_ERROR, Backend, Nearest, ordered
from f2llm.vectors.store import VectorView

BLOCK_ROWS = 16_384
CUDA_BLOCK_ROWS = 262_144
# Candidates of all queries searched at once, 12 bytes each in a few copies: bounds memory.
ENTRIES = 1 << 20
# Vectors of one side on a GPU at once, in bytes.
CUDA_TILE_BYTES = 1 << 32
# The most candidates that faiss can select for a query on a GPU.
MOST_ON_GPU = 2048
# The wheels of faiss carry an OpenBLAS of 2021 that takes newer processors for one of 2004, at a quarter of the speed.
KERNELS = "OPENBLAS_CORETYPE"
CORES = (("SkylakeX", {"avx512f", "avx512bw", "avx512dq", "avx512vl"}), ("Haswell", {"avx2", "fma"}))


def load_faiss() -> Any:  # noqa: ANN401 - a module without types
    """Import faiss with matrix kernels that suit this processor, unless the environment names some."""
    # Its loader reports every build of itself that it tries.
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    core = next((core for core, needed in CORES if needed <= cpu_flags()), None)
    if "faiss" in sys.modules or KERNELS in os.environ or core is None:
        return importlib.import_module("faiss")
    os.environ[KERNELS] = core  # read once, when the library is loaded
    try:
        return importlib.import_module("faiss")
    finally:
        del os.environ[KERNELS]


class Faiss(Backend):
    """Exact search with faiss on the CPU, or on the current CUDA device with float16 blocks."""

    exact = True

    def __init__(self, *, threads: int, gpu: bool = False, block_rows: int | None = None) -> None:
        faiss = load_faiss()
        faiss.omp_set_num_threads(threads)
        self.block_rows = block_rows or (CUDA_BLOCK_ROWS if gpu else BLOCK_ROWS)
        self.entries, self.most = ENTRIES, MOST_ON_GPU if gpu else None
        self._error = TENSOR_CORE_ERROR if gpu else FLOAT32_ERROR
        self._resources = faiss.StandardGpuResources() if gpu else None

    def nearest(
        self, queries_QD: NDArray[np.float16], passages: VectorView, count: int, *, wanted: NDArray[np.int64]
    ) -> Nearest:
        """Up to `count` candidates of each query; a block of passages is in memory twice."""
        heap = load_faiss().ResultHeap(len(queries_QD), count, keep_max=True)
        searched_QD = queries_QD if self._resources else queries_QD.astype(np.float32)
        for first, block in passages.blocks(self.block_rows) if count else ():
            near, rows = self._knn(searched_QD, block, min(count, len(block)))
            heap.add_result(near, rows + first)
        heap.finalize()
        return ordered(self, queries_QD, passages, heap.D, heap.I, wanted=wanted, error=self._error)

    def _knn(
        self, queries_QD: NDArray[np.floating], block_ND: NDArray[np.float16], count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        faiss = load_faiss()
        metric = faiss.METRIC_INNER_PRODUCT
        if not self._resources:
            return faiss.knn(queries_QD, block_ND.astype(np.float32), count, metric=metric)
        limit = {"vectorsMemoryLimit": CUDA_TILE_BYTES, "queriesMemoryLimit": CUDA_TILE_BYTES}
        return faiss.knn_gpu(self._resources, queries_QD, block_ND, count, metric=metric, **limit)
