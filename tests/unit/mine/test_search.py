import faiss
import numpy as np
import pytest

import f2llm.mine.search as module
from f2llm.mine.search import NO_ROW, score_pairs, search, set_threads


@pytest.fixture
def brute_force(canonical):
    return lambda queries, corpus, wanted: sorted_lists(canonical(queries, corpus), wanted)


def sorted_lists(scores, wanted):
    order = np.lexsort((np.broadcast_to(np.arange(scores.shape[1]), scores.shape), -scores), axis=1)
    return [(scores[q, order[q, :k]], order[q, :k]) for q, k in enumerate(wanted)]


def found_by(queries, passages, wanted, block_rows):
    out = {}
    for found in search(queries, passages, wanted_Q=np.asarray(wanted), block_rows=block_rows):
        for at, scores, rows in zip(found.queries.tolist(), found.scores, found.rows, strict=True):
            assert at not in out
            out[at] = (scores[rows != NO_ROW], rows[rows != NO_ROW])
    return [out[q] for q in range(len(queries))]


def same(left, right):
    return len(left) == len(right) and all(
        a.tobytes() == c.tobytes() and b.tolist() == d.tolist()
        for (a, b), (c, d) in zip(left, right, strict=True)
    )  # fmt: skip


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("block_rows", [7, 64, 1000])
def test_search_equals_brute_force_in_float64_byte_for_byte(stored, related, brute_force, block_rows, threads):
    queries, corpus = related(0, queries=40, passages=700)
    wanted = np.full(len(queries), 60)
    set_threads(threads)
    try:
        assert faiss.omp_get_max_threads() == threads
        assert same(found_by(queries, stored(corpus), wanted, block_rows), brute_force(queries, corpus, wanted))
    finally:
        set_threads(1)


def test_passages_with_equal_scores_come_in_the_order_of_their_rows(stored, related, brute_force):
    # 300 copies of two vectors: far more ties than the spare candidates hold.
    queries, pair = related(1, queries=3, passages=2)
    corpus = pair[np.arange(300) % 2]
    wanted = np.array([100, 149, 151])
    assert same(found_by(queries, stored(corpus), wanted, 64), brute_force(queries, corpus, wanted))


def test_a_query_that_wants_many_gets_them_without_the_others(stored, related, brute_force, monkeypatch):
    queries, corpus = related(2, queries=6, passages=400)
    wanted = np.array([10, 10, 390, 10, 10, 10])
    sizes = []
    real = module._search_part
    monkeypatch.setattr(
        module, "_search_part", lambda q, part, *rest: sizes.append((len(part), rest[2])) or real(q, part, *rest)
    )
    assert same(found_by(queries, stored(corpus), wanted, 64), brute_force(queries, corpus, wanted))
    assert sizes == [(6, 38), (1, 152), (1, 400)]


def test_more_wanted_than_there_are_gives_all(stored, related, brute_force):
    queries, corpus = related(3, queries=4, passages=9)
    assert same(found_by(queries, stored(corpus), [100] * 4, 4), brute_force(queries, corpus, [9] * 4))


def test_no_passages_and_no_queries_give_nothing(stored, related):
    queries, corpus = related(4, queries=2, passages=5)
    assert [len(rows) for _, rows in found_by(queries, stored(corpus[:0], "empty"), [3, 3], 4)] == [0, 0]
    assert found_by(queries[:0], stored(corpus), [], 4) == []


def test_a_candidate_list_is_proven_only_beyond_the_error_of_float32(stored, related, canonical, monkeypatch):
    # The last wanted score must clear the least fetched one by SCORE_ERROR: try both sides.
    queries, corpus = related(5, queries=1, passages=50)
    scores = np.sort(canonical(queries, corpus)[0])[::-1].astype(np.float64)
    gap = scores[9] - scores[10 + module.SPARE - 1]
    for error, rounds in ((gap * 0.99, 1), (gap * 1.01, 2)):
        calls = []
        real = module._nearest
        with monkeypatch.context() as patched:
            patched.setattr(module, "SCORE_ERROR", error)
            patched.setattr(module, "_nearest", lambda *call, real=real, calls=calls: calls.append(1) or real(*call))
            found_by(queries, stored(corpus), [10], 64)
        assert len(calls) == rounds


def test_few_entries_at_once_change_nothing(stored, related, brute_force, monkeypatch):
    queries, corpus = related(6, queries=30, passages=200)
    wanted = np.full(30, 20)
    monkeypatch.setattr(module, "MOST_ENTRIES", 100)
    assert module.queries_at_once(20) == 2
    assert same(found_by(queries, stored(corpus), wanted, 64), brute_force(queries, corpus, wanted))


@pytest.mark.parametrize("block_rows", [1, 7, 1000])
def test_pairs_have_the_canonical_score_in_any_order(stored, related, canonical, monkeypatch, block_rows):
    monkeypatch.setattr(module, "VALUES_AT_ONCE", 100)
    queries, corpus = related(7, queries=20, passages=90)
    generator = np.random.default_rng(0)
    query, row = generator.integers(0, 20, 300), generator.integers(0, 90, 300)
    found = score_pairs(queries, stored(corpus), query_P=query, row_P=row, block_rows=block_rows)
    assert found.tobytes() == canonical(queries, corpus)[query, row].tobytes()


def test_no_pairs_have_no_scores(stored, related):
    queries, corpus = related(8, queries=2, passages=3)
    none = np.array([], np.int64)
    assert score_pairs(queries, stored(corpus), query_P=none, row_P=none, block_rows=4).tolist() == []


def test_the_canonical_score_does_not_depend_on_the_order_of_summation(unit):
    rows = unit(np.random.default_rng(9).normal(size=(200, 1024)))
    left, right = rows[:100].astype(np.float64), rows[100:].astype(np.float64)
    order = np.random.default_rng(1).permutation(1024)
    forward = np.array([sum(map(float, a * b)) for a, b in zip(left, right, strict=True)], np.float32)
    shuffled = np.einsum("pd,pd->p", left[:, order], right[:, order]).astype(np.float32)
    assert forward.tobytes() == shuffled.tobytes()
