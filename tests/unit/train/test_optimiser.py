"""The learning rate by step, and which parameters decay."""

import pytest
import torch

from f2llm.train.optimiser import learning_rate, make_optimiser


@pytest.fixture
def train(toy):
    return toy.settings(steps=14, warmup_steps=4, learning_rate=2.0, min_lr_ratio=0.1, weight_decay=0.5).train


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.5), (1, 1.0), (3, 2.0), (4, 2.0), (9, 2.0 * (0.1 + 0.9 * 0.5)), (14, 0.2)]
)
def test_warm_up_is_linear_and_never_zero_then_a_cosine_to_the_floor(train, step, rate):
    assert learning_rate(step, settings=train) == pytest.approx(rate)


def test_without_warm_up_the_first_step_is_at_the_peak(toy):
    assert learning_rate(0, settings=toy.settings(warmup_steps=0, learning_rate=0.3).train) == pytest.approx(0.3)


def test_vectors_do_not_decay_and_frozen_parameters_are_left_out(train):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Embedding(4, 3))
    model[1].requires_grad_(False)
    groups = make_optimiser(model, settings=train).param_groups
    decays = {group["weight_decay"]: [tuple(p.shape) for p in group["params"]] for group in groups}
    assert decays == {0.5: [(2, 3)], 0.0: [(2,)]}
    assert {group["betas"] for group in groups} == {(0.9, 0.98)}
