"""The learning rate by step, and which parameters decay."""

import pytest
import torch

from f2llm.train.step import learning_rate, make_optimiser


@pytest.fixture
def train(toy):
    return toy.settings(steps=14, warmup_steps=4, learning_rate=2.0, min_lr_ratio=0.1, weight_decay=0.5).train


@pytest.mark.parametrize(("step", "rate"), [(0, 0.5), (1, 1.0), (3, 2.0), (4, 2.0), (9, 1.0), (13, 0.2), (14, 0.2)])
def test_warm_up_is_linear_and_never_zero_then_a_cosine_to_the_floor(train, step, rate):
    assert learning_rate(step, steps=14, settings=train) == pytest.approx(rate)


def test_without_warm_up_the_first_step_is_at_the_peak(toy):
    assert learning_rate(0, steps=4, settings=toy.settings(warmup_steps=0, learning_rate=0.3).train) == pytest.approx(
        0.3
    )


def test_vectors_do_not_decay_and_frozen_parameters_are_left_out(train):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Embedding(4, 3))
    model[1].requires_grad_(False)
    groups = make_optimiser(model, settings=train).param_groups
    decays = {group["weight_decay"]: [tuple(p.shape) for p in group["params"]] for group in groups}
    assert decays == {0.5: [(2, 3)], 0.0: [(2,)]}
    assert {group["betas"] for group in groups} == {(0.9, 0.98)}


def test_the_authors_decay_everything(toy):
    model = torch.nn.Linear(3, 2)
    (group,) = make_optimiser(model, settings=toy.settings(recipe="f2llm", weight_decay=0.5).train).param_groups
    assert (group["weight_decay"], len(group["params"])) == (0.5, 2)


@pytest.mark.parametrize("ticks", [1, 2, 4])
def test_the_authors_schedule_is_that_of_a_scheduler_that_ticks_once_a_process(toy, ticks):
    from transformers import get_cosine_schedule_with_warmup

    settings = toy.settings(
        recipe="f2llm", warmup_steps=8, warmup_ticks=ticks, learning_rate=0.3, min_lr_ratio=0.0
    ).train
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = get_cosine_schedule_with_warmup(optimiser, num_warmup_steps=8, num_training_steps=20 * ticks)
    for step in range(20):
        assert learning_rate(step, steps=20, settings=settings) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9)
        optimiser.step()
        for _ in range(ticks):
            theirs.step()
