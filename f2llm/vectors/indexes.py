"""Approximate indexes of faiss, for corpora too large to compare with every query.

Passages that they find get canonical scores like those of an exact search; passages that they miss are lost, hard
candidates first. Their recall is measured on a sample and reported. An index is built on one thread, so that it and
the result of a search are the same at every run. Shapes: Q queries, N passages, D dimensions.
"""

import numpy as np
from numpy.typing import NDArray

from f2llm.config.mine import Index
from f2llm.vectors.faiss_search import BLOCK_ROWS, ENTRIES, load_faiss
from f2llm.vectors.scores import NO_ROW, Backend, Nearest, ordered
from f2llm.vectors.store import VectorView

# Passages per cluster on which k-means is trained (faiss warns below 39).
TRAINED_ON = 64


class Approximate(Backend):
    """An inverted-lists or graph index of one corpus, in memory as float16 (2 bytes a number)."""

    exact = False
    most = None
    block_rows = BLOCK_ROWS
    entries = ENTRIES

    def __init__(self, passages: VectorView, settings: Index) -> None:
        faiss = load_faiss()
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            self._index = _empty(passages, settings)
            for _, block in passages.blocks(self.block_rows):
                self._index.add(block.astype(np.float32))
        finally:
            faiss.omp_set_num_threads(threads)
        if settings.kind == "ivf":
            self._index.nprobe = settings.probes
        else:
            self._index.hnsw.efSearch = settings.search_breadth

    def nearest(
        self, queries_QD: NDArray[np.float16], passages: VectorView, count: int, *, wanted: NDArray[np.int64]
    ) -> Nearest:
        """Up to `count` candidates of each query; passages that were not found have no bound."""
        near, rows = self._index.search(queries_QD.astype(np.float32), count)
        near[rows == NO_ROW] = -np.inf
        return ordered(self, queries_QD, passages, near, rows.astype(np.int64), wanted=wanted, error=np.inf)


def measure_recall(
    queries_QD: NDArray[np.float16], passages: VectorView, *, wanted: int, approximate: Backend, exact: Backend
) -> float:
    """The mean share, 0..1, of the `wanted` nearest passages that the back end `approximate` finds."""
    wanted = min(wanted, len(passages))
    if not wanted or not len(queries_QD):
        return 1.0
    wanted_Q = np.full(len(queries_QD), wanted)
    true_QK, found_QK = (
        backend.nearest(queries_QD, passages, wanted, wanted=wanted_Q).rows for backend in (exact, approximate)
    )
    shares = [np.isin(true_K, found_K).mean() for true_K, found_K in zip(true_QK, found_QK, strict=True)]
    return float(np.mean(shares))


def _empty(passages: VectorView, settings: Index):  # noqa: ANN202 - a class of faiss
    """The trained index, still without passages."""
    faiss = load_faiss()
    metric = faiss.METRIC_INNER_PRODUCT
    if settings.kind == "hnsw":
        index = faiss.index_factory(passages.dim, f"HNSW{settings.links},SQfp16", metric)
        index.hnsw.efConstruction = settings.build_breadth
        lists = 1
    else:
        lists = max(1, min(settings.lists, len(passages) // TRAINED_ON))
        index = faiss.index_factory(passages.dim, f"IVF{lists},SQfp16", metric)
    # Rows are sorted by a hash of their text, so evenly spaced ones are a random sample.
    sample = np.linspace(0, len(passages) - 1, min(len(passages), lists * TRAINED_ON)).astype(np.int64)
    index.train(passages.rows(sample).astype(np.float32))
    return index
