"""Values and gradients of the losses against plain Python in double precision."""

import math
import random

import pytest
import torch

from f2llm.config.check import load_schema
from f2llm.config.losses import TASKS_OF_TERM
from f2llm.records.ids import TASKS
from f2llm.train.losses.batch_vectors import NO_PASSAGE, Vectors
from f2llm.train.losses.contrastive import hard, in_batch
from f2llm.train.losses.loss import TERMS, evaluate_terms

TAU = 0.05
STEP = 1e-6
IN_BATCH = {"temperature": TAU, "passage_gradient": True, "mask_equal_positives": True}
# Both sides are in double precision. Differences over STEP are as near as rounding (1e-15) over it.
EXACT = 1e-12
NUMERIC = {"rtol": 1e-6, "atol": 1e-7}


def drawn(rows, width=5, seed=0):
    generator = random.Random(seed)
    return [[generator.uniform(-1, 1) for _ in range(width)] for _ in range(rows)]


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def cross_entropy(logits, target):
    return math.log(sum(math.exp(x - logits[target]) for x in logits))


def plain_hard(queries, passages, candidates):
    terms = [
        cross_entropy([cosine(query, passages[c]) / TAU for c in row if c != NO_PASSAGE], 0)
        for query, row in zip(queries, candidates, strict=True)
    ]
    return sum(terms) / len(terms)


def plain_in_batch(queries, positives, equal):
    terms = []
    for i, query in enumerate(queries):
        kept = [i] + [j for j in range(len(positives)) if j != i and not equal[i][j]]
        terms.append(cross_entropy([cosine(query, positives[j]) / TAU for j in kept], 0))
    return sum(terms) / len(terms)


def numeric_gradient(function, matrix):
    """Central differences in double precision."""
    gradient = []
    for row in matrix:
        line = []
        for column in range(len(row)):
            saved = row[column]
            row[column] = saved + STEP
            above = function()
            row[column] = saved - STEP
            line.append((above - function()) / (2 * STEP))
            row[column] = saved
        gradient.append(line)
    return torch.tensor(gradient, dtype=torch.float64)


def leaf(rows):
    # In float32 a loss is only as near as 1e-6: cosines are divided by the temperature.
    return torch.tensor(rows, dtype=torch.float64, requires_grad=True)


CANDIDATES = [[0, 1, 2], [3, 0, NO_PASSAGE], [1, 3, 2], [3, 2, 1]]


NOTHING_EQUAL = [[False] * 4 for _ in range(4)]
SOME_EQUAL = [[True, False, True, False], [False, True, False, False], [False, False, True, False], [True] * 4]


def vectors(queries, passages, *, candidates=CANDIDATES, equal=NOTHING_EQUAL):
    return Vectors(queries, passages, torch.tensor(candidates), torch.tensor(equal))


@pytest.fixture
def train(toy):
    def settings(**changes):
        return toy.settings(temperature=TAU, **changes).train

    return settings


def test_hard_is_the_cross_entropy_against_own_negatives():
    queries, passages = drawn(4), drawn(4, seed=1)
    q, p = leaf(queries), leaf(passages)
    loss = hard(vectors(q, p), temperature=TAU)
    loss.backward()
    assert loss.item() == pytest.approx(plain_hard(queries, passages, CANDIDATES), rel=EXACT)
    for tensor, matrix in ((q, queries), (p, passages)):
        expected = numeric_gradient(lambda: plain_hard(queries, passages, CANDIDATES), matrix)
        torch.testing.assert_close(tensor.grad, expected, **NUMERIC)


OWN = [[0], [1], [2], [3]]


@pytest.mark.parametrize("equal", [NOTHING_EQUAL, SOME_EQUAL], ids=["all_candidates", "some_masked"])
def test_in_batch_is_the_cross_entropy_against_other_positives(equal):
    queries, positives = drawn(4), drawn(4, seed=1)
    q, p = leaf(queries), leaf(positives)
    loss = in_batch(vectors(q, p, candidates=OWN, equal=equal), **IN_BATCH)
    loss.backward()
    assert loss.item() == pytest.approx(plain_in_batch(queries, positives, equal), rel=EXACT)
    for tensor, matrix in ((q, queries), (p, positives)):
        expected = numeric_gradient(lambda: plain_in_batch(queries, positives, equal), matrix)
        torch.testing.assert_close(tensor.grad, expected, **NUMERIC)


def test_without_the_mask_equal_positives_are_negatives():
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    unmasked = in_batch(vectors(q, p, candidates=OWN, equal=SOME_EQUAL), **IN_BATCH | {"mask_equal_positives": False})
    assert unmasked.item() == in_batch(vectors(q, p, candidates=OWN), **IN_BATCH).item()


def test_without_passage_gradient_only_queries_learn_and_the_value_is_the_same():
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    full = in_batch(vectors(q, p, candidates=OWN), **IN_BATCH)
    none = in_batch(vectors(q, p, candidates=OWN), **IN_BATCH | {"passage_gradient": False})
    assert full.item() == none.item()
    none.backward()
    assert p.grad is None
    assert q.grad.abs().sum() > 0


def test_lengths_of_vectors_do_not_matter():
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    assert hard(vectors(3 * q, 7 * p), temperature=TAU).item() == pytest.approx(
        hard(vectors(q, p), temperature=TAU).item(), rel=EXACT
    )


def test_a_batch_of_one_has_no_in_batch_loss():
    alone = vectors(leaf(drawn(1)), leaf(drawn(1, seed=1)), candidates=[[0]], equal=[[True]])
    assert in_batch(alone, **IN_BATCH).item() == 0


def test_matryoshka_is_the_weighted_sum_over_cut_vectors_and_reports_whole_ones(train):
    queries, passages = drawn(4), drawn(4, seed=1)
    cuts = [{"dimensions": 2, "weight": 0.25}, {"dimensions": 5, "weight": 1.0}]
    q, p = leaf(queries), leaf(passages)
    loss, terms = evaluate_terms(vectors(q, p), train(matryoshka=cuts), task="clustering")
    loss.backward()

    def plain():
        short = [[row[:2] for row in rows] for rows in (queries, passages)]
        return 0.25 * plain_hard(*short, CANDIDATES) + plain_hard(queries, passages, CANDIDATES)

    assert loss.item() == pytest.approx(plain(), rel=EXACT)
    assert terms["hard"].item() == pytest.approx(plain_hard(queries, passages, CANDIDATES), rel=EXACT)
    torch.testing.assert_close(q.grad, numeric_gradient(plain, queries), **NUMERIC)
    torch.testing.assert_close(p.grad, numeric_gradient(plain, passages), **NUMERIC)


@pytest.mark.parametrize(("task", "expected"), [("retrieval", ["hard", "in_batch"]), ("classification", ["hard"])])
def test_terms_are_weighted_and_apply_by_task(task, expected, train):
    losses = [{"term": "hard", "weight": 0.5}, {"term": "in_batch", "weight": 2.0}]
    loss, terms = evaluate_terms(vectors(leaf(drawn(4)), leaf(drawn(4, seed=1))), train(losses=losses), task=task)
    assert list(terms) == expected
    weights = {"hard": 0.5, "in_batch": 2.0}
    assert loss.item() == pytest.approx(sum(weights[name] * terms[name].item() for name in terms), rel=EXACT)


def test_the_settings_of_a_run_reach_the_terms_that_use_them(train):
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    settings = train(passage_gradient="none", mask_equal_positives=False)
    loss, _ = evaluate_terms(vectors(q, p, equal=SOME_EQUAL), settings, task="retrieval")
    loss.backward()
    theirs_q, theirs_p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    table = vectors(theirs_q, theirs_p, equal=SOME_EQUAL)
    theirs = hard(table, temperature=TAU) + in_batch(
        table, **IN_BATCH | {"passage_gradient": False, "mask_equal_positives": False}
    )
    theirs.backward()
    assert loss.item() == theirs.item()
    assert torch.equal(q.grad, theirs_q.grad) and torch.equal(p.grad, theirs_p.grad)


def test_every_term_has_a_function_its_tasks_and_can_be_configured():
    items = load_schema("config")["properties"]["train"]["properties"]["losses"]["items"]
    assert set(items["properties"]["term"]["enum"]) == set(TASKS_OF_TERM) == set(TERMS)
    assert all(tasks and tasks <= set(TASKS) for tasks in TASKS_OF_TERM.values())
