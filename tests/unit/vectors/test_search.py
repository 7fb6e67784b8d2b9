import dataclasses
import os
import subprocess
import sys

import faiss
import numpy as np
import pytest
import torch

import f2llm.vectors.search as module
from f2llm.records.errors import InputError
from f2llm.records.tables import NO_ROW
from f2llm.vectors import faiss_search, scores, torch_search
from f2llm.vectors.faiss_search import Faiss
from f2llm.vectors.indexes import Approximate
from f2llm.vectors.scores import score_pairs
from f2llm.vectors.search import choose_backend, search
from f2llm.vectors.torch_search import Torch


def on_faiss(block_rows=64, threads=1):
    return Faiss(threads=threads, block_rows=block_rows)


def on_torch(block_rows=64, threads=1):
    return Torch(threads=threads, device="cpu", block_rows=block_rows)


BACKENDS = pytest.mark.parametrize("backend", [on_faiss, on_torch])


@pytest.fixture
def brute_force(canonical):
    return lambda queries, corpus, wanted: sorted_lists(canonical(queries, corpus), wanted)


def sorted_lists(scores, wanted):
    order = np.lexsort((np.broadcast_to(np.arange(scores.shape[1]), scores.shape), -scores), axis=1)
    return [(scores[q, order[q, :k]], order[q, :k]) for q, k in enumerate(wanted)]


def found_by(queries, passages, wanted, backend):
    out = {}
    for found in search(queries, passages, wanted_Q=np.asarray(wanted), backend=backend):
        for at, near, rows in zip(found.queries.tolist(), found.scores, found.rows, strict=True):
            assert at not in out
            out[at] = (near[rows != NO_ROW], rows[rows != NO_ROW])
    return [out[q] for q in range(len(queries))]


def same(left, right):
    return len(left) == len(right) and all(
        a.tobytes() == c.tobytes() and b.tolist() == d.tolist()
        for (a, b), (c, d) in zip(left, right, strict=True)
    )  # fmt: skip


@BACKENDS
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("block_rows", [7, 64, 1000])
def test_search_equals_brute_force_in_float64_byte_for_byte(stored, related, brute_force, backend, block_rows, threads):
    queries, corpus = related(0, queries=40, passages=700)
    wanted = np.full(len(queries), 60)
    searcher = backend(block_rows, threads)
    try:
        assert (faiss.omp_get_max_threads() if backend is on_faiss else torch.get_num_threads()) == threads
        assert same(found_by(queries, stored(corpus), wanted, searcher), brute_force(queries, corpus, wanted))
    finally:
        backend(threads=1)


@BACKENDS
def test_passages_with_equal_scores_come_in_the_order_of_their_rows(stored, related, brute_force, backend):
    # 300 copies of two vectors: far more ties than the spare candidates hold.
    queries, pair = related(1, queries=3, passages=2)
    corpus = pair[np.arange(300) % 2]
    wanted = np.array([100, 149, 151])
    assert same(found_by(queries, stored(corpus), wanted, backend()), brute_force(queries, corpus, wanted))


def test_a_query_that_wants_many_gets_them_without_the_others(stored, related, brute_force, monkeypatch):
    queries, corpus = related(2, queries=6, passages=400)
    wanted = np.array([10, 10, 390, 10, 10, 10])
    sizes = []
    real = module._search_once

    def search_once(queries_QD, part, passages, **settings):
        sizes.append((len(part), settings["fetched"]))
        return real(queries_QD, part, passages, **settings)

    monkeypatch.setattr(module, "_search_once", search_once)
    assert same(found_by(queries, stored(corpus), wanted, on_faiss()), brute_force(queries, corpus, wanted))
    assert sizes == [(6, 38), (1, 152), (1, 400)]


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_a_query_that_wants_many_gets_them_from_an_approximate_index_too(stored, related, brute_force, rule, kind):
    queries, corpus = related(2, queries=6, passages=400)
    wanted = np.array([10, 10, 390, 10, 10, 10])
    all_of_it = {"lists": 1, "probes": 1, "links": 32, "build_breadth": 400, "search_breadth": 400}
    passages = stored(corpus)
    index = Approximate(passages, dataclasses.replace(rule().index, kind=kind, **all_of_it))
    assert same(found_by(queries, passages, wanted, index), brute_force(queries, corpus, wanted))


def test_a_back_end_that_finds_only_so_many_leaves_larger_lists_to_faiss(stored, related, brute_force):
    queries, corpus = related(2, queries=2, passages=90)

    class Few(Torch):
        most = 50

        def nearest(self, queries, passages, count, *, wanted):
            assert count <= 50
            return super().nearest(queries, passages, count, wanted=wanted)

    few = Few(threads=1, device="cpu", block_rows=64)
    assert same(found_by(queries, stored(corpus), [5, 60], few), brute_force(queries, corpus, [5, 60]))


@BACKENDS
def test_more_wanted_than_there_are_gives_all(stored, related, brute_force, backend):
    queries, corpus = related(3, queries=4, passages=9)
    assert same(found_by(queries, stored(corpus), [100] * 4, backend(4)), brute_force(queries, corpus, [9] * 4))


@BACKENDS
def test_no_passages_and_no_queries_give_nothing(stored, related, backend):
    queries, corpus = related(4, queries=2, passages=5)
    assert [len(rows) for _, rows in found_by(queries, stored(corpus[:0], "empty"), [3, 3], backend())] == [0, 0]
    assert found_by(queries[:0], stored(corpus), [], backend()) == []


@BACKENDS
def test_a_candidate_list_is_proven_only_beyond_the_error_of_float32(stored, related, canonical, monkeypatch, backend):
    # The last wanted score must clear the least fetched one by the error: try both sides.
    queries, corpus = related(5, queries=1, passages=50)
    ranked = np.sort(canonical(queries, corpus)[0])[::-1].astype(np.float64)
    gap = ranked[9] - ranked[10 + module.SPARE - 1]
    for error, rounds in ((gap * 0.99, 1), (gap * 1.01, 2)):
        with monkeypatch.context() as patched:
            for place in (faiss_search, torch_search):
                patched.setattr(place, "FLOAT32_ERROR", error)
            searcher, calls = backend(), []
            real = searcher.nearest
            patched.setattr(
                searcher,
                "nearest",
                lambda *call, real=real, calls=calls, **rest: calls.append(1) or real(*call, **rest),
            )
            found_by(queries, stored(corpus), [10], searcher)
        assert len(calls) == rounds


@BACKENDS
def test_scores_that_are_further_off_than_the_proof_allows_are_refused(stored, related, monkeypatch, backend):
    for place in (faiss_search, torch_search):
        monkeypatch.setattr(place, "FLOAT32_ERROR", 1e-12)
    queries, corpus = related(5, queries=4, passages=50)
    with pytest.raises(InputError, match="the search's scores are off by .* set another mine.backend"):
        found_by(queries, stored(corpus), [10] * 4, backend())


@BACKENDS
def test_few_entries_at_once_change_nothing(stored, related, brute_force, monkeypatch, backend):
    queries, corpus = related(6, queries=30, passages=200)
    wanted = np.full(30, 20)
    for place in (faiss_search, torch_search):
        monkeypatch.setattr(place, "ENTRIES", 100)
    monkeypatch.setattr(torch_search, "TILE_BYTES", 1000)
    assert module.queries_at_once(20, backend()) == 2
    assert same(found_by(queries, stored(corpus), wanted, backend()), brute_force(queries, corpus, wanted))


def test_long_rows_of_scores_are_selected_in_groups_with_the_same_result():
    matrix = torch.rand(3, 64 * 40 + 17, generator=torch.Generator().manual_seed(0))
    matrix[1, -1] = 2.0  # in the tail that fills no group
    best, at = torch_search._best(matrix, 9)
    true = matrix.topk(9, dim=1)
    assert (best == true.values).all() and (matrix.gather(1, at) == best).all()


@BACKENDS
@pytest.mark.parametrize("block_rows", [1, 7, 1000])
def test_pairs_have_the_canonical_score_in_any_order(stored, related, canonical, monkeypatch, backend, block_rows):
    for place in (scores, torch_search):
        monkeypatch.setattr(place, "VALUES_AT_ONCE", 100)
    queries, corpus = related(7, queries=20, passages=90)
    generator = np.random.default_rng(0)
    query, row = generator.integers(0, 20, 300), generator.integers(0, 90, 300)
    found = score_pairs(backend(block_rows), queries, stored(corpus), query_P=query, row_P=row)
    assert found.tobytes() == canonical(queries, corpus)[query, row].tobytes()


@BACKENDS
def test_no_pairs_have_no_scores(stored, related, backend):
    queries, corpus = related(8, queries=2, passages=3)
    none = np.array([], np.int64)
    assert score_pairs(backend(4), queries, stored(corpus), query_P=none, row_P=none).tolist() == []


@pytest.mark.parametrize("named", ["", "Nehalem"])
def test_faiss_is_loaded_with_kernels_that_suit_the_processor_unless_some_are_named(named):
    code = (
        "import os; from f2llm.vectors.faiss_search import CORES, KERNELS, load_faiss\n"
        "import f2llm.vectors.faiss_search as module\n"
        "module.cpu_flags = lambda: {'avx2', 'fma'}\n"
        "module.importlib.import_module = lambda name: print(name, os.environ.get(KERNELS))\n"
        "load_faiss(); print(os.environ.get(KERNELS))"
    )
    environment = {key: value for key, value in os.environ.items() if key != faiss_search.KERNELS}
    environment |= {faiss_search.KERNELS: named} if named else {}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["faiss", named or "Haswell", named or "None"]


def test_the_settings_name_the_back_end():
    assert isinstance(choose_backend(backend="auto", device="cpu", threads=1), Faiss)
    assert isinstance(choose_backend(backend="faiss", device="auto", threads=1), Faiss)
    assert isinstance(choose_backend(backend="torch", device="cpu", threads=1), Torch)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_asked_for_and_absent_is_an_error():
    with pytest.raises(InputError, match="mine.device: cuda is asked for, torch sees no CUDA device"):
        choose_backend(backend="auto", device="cuda", threads=1)


def test_faiss_on_cuda_without_its_gpu_build_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "resolve_device", lambda device: "cuda")
    with pytest.raises(InputError, match="needs the package faiss-gpu.*mine.backend: torch"):
        choose_backend(backend="faiss", device="cuda", threads=1)


def test_the_canonical_score_does_not_depend_on_the_order_of_summation(unit):
    rows = unit(np.random.default_rng(9).normal(size=(200, 1024)))
    left, right = rows[:100].astype(np.float64), rows[100:].astype(np.float64)
    order = np.random.default_rng(1).permutation(1024)
    forward = np.array([sum(map(float, a * b)) for a, b in zip(left, right, strict=True)], np.float32)
    shuffled = np.einsum("pd,pd->p", left[:, order], right[:, order]).astype(np.float32)
    assert forward.tobytes() == shuffled.tobytes()


def test_the_order_is_by_score_then_row_with_padding_last():
    found = np.array([[0.5, -0.25, 0.5, -0.0, 0.0, -0.5, -np.inf]], np.float32)
    rows = np.array([[7, 3, 2, 9, 4, 1, NO_ROW]])
    assert rows[0, scores._canonical_order(found, rows)[0]].tolist() == [2, 7, 4, 9, 3, 1, NO_ROW]
