"""Values and gradients of the losses against plain Python in double precision."""

import math
import random

import pytest
import torch

from f2llm.train.losses import NO_PASSAGE, hard, in_batch

TAU = 0.05
STEP = 1e-6


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


def leaf(rows, dtype=torch.float32):
    return torch.tensor(rows, dtype=dtype, requires_grad=True)


CANDIDATES = [[0, 1, 2], [3, 0, NO_PASSAGE], [1, 3, 2], [3, 2, 1]]


def test_hard_is_the_cross_entropy_against_own_negatives():
    queries, passages = drawn(4), drawn(4, seed=1)
    q, p = leaf(queries), leaf(passages)
    loss = hard(q, p, torch.tensor(CANDIDATES), temperature=TAU)
    loss.backward()
    assert loss.item() == pytest.approx(plain_hard(queries, passages, CANDIDATES), rel=1e-5)
    for tensor, matrix in ((q, queries), (p, passages)):
        expected = numeric_gradient(lambda: plain_hard(queries, passages, CANDIDATES), matrix)
        torch.testing.assert_close(tensor.grad.double(), expected, rtol=1e-4, atol=1e-5)


NOTHING_EQUAL = [[False] * 4 for _ in range(4)]
SOME_EQUAL = [[True, False, True, False], [False, True, False, False], [False, False, True, False], [True] * 4]


@pytest.mark.parametrize("equal", [NOTHING_EQUAL, SOME_EQUAL], ids=["all_candidates", "some_masked"])
def test_in_batch_is_the_cross_entropy_against_other_positives(equal):
    queries, positives = drawn(4), drawn(4, seed=1)
    q, p = leaf(queries), leaf(positives)
    loss = in_batch(q, p, temperature=TAU, equal_BB=torch.tensor(equal))
    loss.backward()
    assert loss.item() == pytest.approx(plain_in_batch(queries, positives, equal), rel=1e-5)
    for tensor, matrix in ((q, queries), (p, positives)):
        expected = numeric_gradient(lambda: plain_in_batch(queries, positives, equal), matrix)
        torch.testing.assert_close(tensor.grad.double(), expected, rtol=1e-4, atol=1e-5)


def test_no_mask_is_a_mask_of_nothing():
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    masked = in_batch(q, p, temperature=TAU, equal_BB=torch.eye(4, dtype=torch.bool))
    assert in_batch(q, p, temperature=TAU).item() == masked.item()


def test_without_passage_gradient_only_queries_learn_and_the_value_is_the_same():
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    full = in_batch(q, p, temperature=TAU)
    none = in_batch(q, p, temperature=TAU, passage_gradient=False)
    assert full.item() == none.item()
    none.backward()
    assert p.grad is None
    assert q.grad.abs().sum() > 0


def test_lengths_of_vectors_do_not_matter():
    q, p = leaf(drawn(4)), leaf(drawn(4, seed=1))
    candidates = torch.tensor(CANDIDATES)
    assert hard(3 * q, 7 * p, candidates, temperature=TAU).item() == pytest.approx(
        hard(q, p, candidates, temperature=TAU).item(), rel=1e-5
    )


def test_a_batch_of_one_has_no_in_batch_loss():
    assert in_batch(leaf(drawn(1)), leaf(drawn(1, seed=1)), temperature=TAU).item() == 0
