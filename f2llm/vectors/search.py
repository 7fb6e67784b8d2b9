"""Exact nearest passages of many queries: candidate lists that are proven to be complete.

A back end fetches a few more candidates than wanted. A list is accepted when the canonical score of its last wanted
candidate lies above the bound on all that was not fetched; of an approximate index, which has no bound, when as many
were fetched as are wanted. The other queries are searched again with more. Lists are ordered by canonical score,
descending, then by passage row.
Shapes: Q queries, K candidates, D dimensions.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.models.device import resolve_device
from f2llm.records.errors import InputError
from f2llm.vectors.faiss_search import Faiss, load_faiss
from f2llm.vectors.scores import NO_ROW, Backend
from f2llm.vectors.store import VectorView
from f2llm.vectors.torch_search import Torch

# Candidates fetched beyond those wanted: with 20, all of 1,500 real queries were proven at once.
SPARE = 28
# How many times `entries` a search may hold: else the few queries above it would read the whole corpus once more.
SLACK = 2
# Factor by which the number of candidates grows for queries whose lists are not proven.
GROWTH = 4


class Neighbours(NamedTuple):
    """The nearest passages of some queries."""

    queries: NDArray[np.int64]  # [Q] rows of the queries
    scores: NDArray[np.float32]  # [Q, K] canonical, descending; -inf where there is no row
    rows: NDArray[np.int64]  # [Q, K] passage rows; NO_ROW beyond what was wanted of the query


def choose_backend(*, backend: str, device: str, threads: int, block_rows: int | None = None) -> Backend:
    """The back end that the settings `mine.backend` and `mine.device` name.

    Raises:
        InputError: CUDA is asked for and absent, or faiss on CUDA without its GPU build.
    """
    cuda = resolve_device(device) == "cuda"
    if backend == "torch" or (backend == "auto" and cuda and not _faiss_gpus()):
        return Torch(threads=threads, device="cuda" if cuda else "cpu", block_rows=block_rows)
    if cuda and not _faiss_gpus():
        raise InputError(
            "mine.backend: faiss on CUDA needs the package faiss-gpu, here is faiss-cpu; install the extra `gpu` "
            "instead of `cpu`, or set mine.backend: torch"
        )
    return Faiss(threads=threads, gpu=cuda, block_rows=block_rows)


def _faiss_gpus() -> int:
    return load_faiss().get_num_gpus()


def queries_at_once(wanted: int, backend: Backend) -> int:
    """The number of queries to search together when each wants `wanted` candidates."""
    return max(1, backend.entries // (wanted + SPARE))


def search(
    queries_QD: NDArray[np.float16], passages: VectorView, *, wanted_Q: NDArray[np.int64], backend: Backend
) -> Iterator[Neighbours]:
    """The nearest `wanted_Q` passages of each query, in parts: every query once, in no particular order.

    The result is exact and the same for every exact back end, block size and number of threads.
    Memory is one block of passages, `backend.entries` candidates (twice at most) and the queries.
    """
    wanted_Q = np.minimum(wanted_Q, len(passages))
    pending = np.arange(len(queries_QD))
    # The median, since a few queries may want many more than all others: these are searched again.
    fetched = min(len(passages), int(np.median(wanted_Q)) + SPARE) if len(pending) else 0
    while len(pending):
        unproven = []
        queries_at_a_time = max(1, SLACK * backend.entries // max(fetched, 1))
        if backend.most and fetched > backend.most:
            backend = Faiss(threads=1)
        for first in range(0, len(pending), queries_at_a_time):
            queries = pending[first : first + queries_at_a_time]
            neighbours, proven = _search_once(
                queries_QD, queries, passages, wanted_Q=wanted_Q[queries], fetched=fetched, backend=backend
            )
            unproven.append(queries[~proven])
            yield Neighbours(*(of_queries[proven] for of_queries in neighbours))
        pending, fetched = np.concatenate(unproven), min(len(passages), fetched * GROWTH)


def _search_once(
    queries_QD: NDArray[np.float16],
    queries: NDArray[np.int64],
    passages: VectorView,
    *,
    wanted_Q: NDArray[np.int64],
    fetched: int,
    backend: Backend,
) -> tuple[Neighbours, NDArray[np.bool_]]:
    """The candidates of some `queries` in canonical order, and a mask [Q] of those whose lists are complete."""
    scores, rows, bound = backend.nearest(queries_QD[queries], passages, fetched, wanted=wanted_Q)
    proven = np.full(len(queries), fetched == len(passages))
    if fetched:
        last_wanted = np.clip(wanted_Q - 1, 0, fetched - 1)
        # An approximate index has no bound; its list is accepted when enough candidates were asked for.
        above_bound = not backend.exact or scores[np.arange(len(queries)), last_wanted] > bound
        proven |= (wanted_Q <= fetched) & above_bound
    beyond = np.arange(fetched) >= wanted_Q[:, None]
    scores = np.where(beyond, -np.inf, scores).astype(np.float32)
    return Neighbours(queries, scores, np.where(beyond, NO_ROW, rows)), proven
