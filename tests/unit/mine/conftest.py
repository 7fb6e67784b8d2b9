import dataclasses

import numpy as np
import pytest

from f2llm.config.mine import Index, Mine
from f2llm.vectors.store import VectorStore

INDEX = Index(kind="flat", lists=8, probes=2, links=8, build_breadth=32, search_breadth=32, recall_sample=20)
RULE = Mine(
    max_length=48, window=100, skip=5, skip_order="after_filter", max_score=0.8, min_score=None, relative_margin=0.05,
    absolute_margin=None, strict=True, sampling="top", negatives=24, least_negatives=None, several_positives="min",
    positives="all", positive_max_rank=None, positive_min_score=None, exclude_copies=True, exclude_own_text=True,
    index=INDEX, backend="faiss", device="cpu", block_rows=64, texts_per_job=1000, queries_per_job=1000, min_kept=1,
)  # fmt: skip


def _unit(rows):
    """Rows of unit length, rounded to float16 as they are stored."""
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def _related(seed, *, queries, passages, dim=32, noise=1.2):
    """Random passages, and queries that lie near passage 0, 1, 2, ...: no two scores are equal."""
    generator = np.random.default_rng(seed)
    corpus = _unit(generator.normal(size=(passages, dim)))
    asked = corpus[np.arange(queries) % passages] + noise * generator.normal(size=(queries, dim)) / np.sqrt(dim)
    return _unit(asked), corpus


def _canonical(queries, corpus):
    """Scores [Q, N] by the definition: float64 products of stored vectors, rounded once."""
    return (queries.astype(np.float64) @ corpus.astype(np.float64).T).astype(np.float32)


@pytest.fixture
def unit():
    return _unit


@pytest.fixture
def related():
    return _related


@pytest.fixture
def canonical():
    return _canonical


@pytest.fixture(scope="session")
def rule():
    return lambda **changes: dataclasses.replace(RULE, **changes)


@pytest.fixture
def stored(tmp_path):
    """Return a view of rows that were put into a store in several shards."""

    def make(rows, name="store"):
        ids = [number.to_bytes(16, "big") for number in range(len(rows))]
        store = VectorStore(tmp_path / name, key="test")
        for first in range(0, len(rows), 97):
            store.put(ids[first : first + 97], rows[first : first + 97], precision="float32")
        return store.view(ids)

    return make
