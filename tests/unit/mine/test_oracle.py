"""Against sentence-transformers' own miner, on random vectors in which no two scores are equal."""

import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

from f2llm.mine.select import OK, REASONS, select
from f2llm.records.tables import NO_ROW
from f2llm.vectors.faiss_search import Faiss
from f2llm.vectors.search import search

QUERIES, PASSAGES = 60, 90


@pytest.fixture
def related(related):
    """Vectors whose scores are the same in float32 in any order of summation, and different from each other.

    Their numbers are multiples of 2**-11, so products are multiples of 2**-22 and sums below 2 have 23 bits.
    """

    def make(seed):
        rows = (
            np.round(side.astype(np.float64) * 2048) / 2048
            for side in related(seed, queries=QUERIES, passages=PASSAGES)
        )
        return [side.astype(np.float16) for side in rows]

    return make


class Stub:
    """A model that looks texts up: "q7" is query 7, "p3" passage 3; plain inner products."""

    device = torch.device("cpu")
    model_card_data = SimpleNamespace(base_model="stub")

    def __init__(self, queries, corpus):
        self.vectors = {"q": queries.astype(np.float32), "p": corpus.astype(np.float32)}

    def _look_up(self, texts, **_):
        return np.stack([self.vectors[text[0]][int(text[1:])] for text in texts])

    encode_query = encode_document = _look_up

    def get_embedding_dimension(self):
        return self.vectors["p"].shape[1]

    def similarity(self, left, right):
        return torch.as_tensor(left) @ torch.as_tensor(right).T

    def similarity_pairwise(self, left, right):
        return (torch.as_tensor(left) * torch.as_tensor(right)).sum(-1)


def theirs(queries, corpus, positives, **settings):
    """Return query -> (rows, scores) that sentence-transformers mines."""
    pairs = [(f"q{q}", f"p{p}") for q, rows in enumerate(positives) for p in rows]
    data = Dataset.from_dict({"query": [q for q, _ in pairs], "passage": [p for _, p in pairs]})
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        mined = mine_hard_negatives(
            data, Stub(queries, corpus), corpus=[f"p{p}" for p in range(len(corpus))], sampling_strategy="top",
            output_format="n-tuple", output_scores=True, verbose=False, **settings,
        )  # fmt: skip
    columns = [name for name in mined.column_names if name.startswith("negative_")]
    return {
        int(row["query"][1:]): ([int(row[name][1:]) for name in columns], row["scores"][1:]) for row in mined
    }  # fmt: skip


def ours(stored, canonical, queries, corpus, positives, rule):
    scores = canonical(queries, corpus)
    wanted = np.array([rule.window + len(rows) for rows in positives])
    backend, out = Faiss(threads=1, block_rows=64), {}
    for found in search(queries, stored(corpus), wanted_Q=wanted, backend=backend):
        asked = found.queries.tolist()
        barred = np.stack([np.isin(rows, positives[at]) for at, rows in zip(asked, found.rows, strict=True)])
        chosen = select(
            found.scores, (found.rows != NO_ROW) & ~barred, given_S=np.zeros(len(asked), int), rule=rule,
            positive_S=np.array([scores[at, positives[at]].min() for at in asked]),
            draw_S=np.zeros(len(asked), np.uint64),
        )  # fmt: skip
        for place, at in enumerate(asked):
            mine = chosen.taken_column[chosen.taken_selection == place]
            if REASONS[chosen.reason_S[place]] == OK:
                out[at] = (found.rows[place, mine].tolist(), found.scores[place, mine].tolist())
    return out


def positives_of(several):
    """One positive for each query, or a second one for every third."""
    return [[q, (q + 41) % PASSAGES] if several and q % 3 == 0 else [q] for q in range(QUERIES)]


def assert_equal(mine, peer):
    assert {q: rows for q, (rows, _) in mine.items()} == {q: rows for q, (rows, _) in peer.items()}
    for query, (_, scores) in mine.items():
        assert scores == peer[query][1]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("use_faiss", [True, False])
def test_filter_then_skip_is_what_sentence_transformers_mines(related, canonical, stored, rule, use_faiss, several):
    queries, corpus = related(0)
    # The window holds the whole corpus: theirs is wider by the positives of the busiest query.
    settings = rule(window=PASSAGES, negatives=72, max_score=0.2, relative_margin=0.1)
    peer = theirs(
        queries, corpus, positives_of(several), range_min=5, range_max=PASSAGES, max_score=0.2, relative_margin=0.1,
        num_negatives=72, use_faiss=use_faiss,
    )  # fmt: skip
    assert 10 < len(peer) < QUERIES - 10
    assert_equal(ours(stored, canonical, queries, corpus, positives_of(several), settings), peer)


def test_skip_then_filter_is_the_rule_on_their_unfiltered_candidates(related, canonical, stored, rule):
    queries, corpus = related(1)
    settings = rule(window=40, negatives=12, max_score=0.35, relative_margin=0.1, skip_order="before_filter")
    wide = theirs(queries, corpus, positives_of(True), range_min=0, range_max=40, num_negatives=40, use_faiss=True)
    scores = canonical(queries, corpus)
    peer = {}
    for query, (rows, near) in wide.items():
        least = np.float32(min(scores[query, row] for row in positives_of(True)[query]))
        limit = min(np.float32(0.35), least - abs(least) * np.float32(0.1))
        kept = [(row, score) for row, score in list(zip(rows, near, strict=True))[5:] if score < limit][:12]
        if len(kept) == 12:
            peer[query] = tuple(map(list, zip(*kept, strict=True)))
    assert 10 < len(peer) < QUERIES - 5
    assert_equal(ours(stored, canonical, queries, corpus, positives_of(True), settings), peer)
    after = ours(stored, canonical, queries, corpus, positives_of(True), rule(
        window=40, negatives=12, max_score=0.35, relative_margin=0.1,
    ))  # fmt: skip
    assert any(after[query][0] != peer[query][0] for query in after.keys() & peer.keys())
