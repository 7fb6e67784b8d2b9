"""Tokens that fit: measured on the model, and refused with the numbers where they are too few."""

import pytest
import torch

from f2llm.config.geometry import activation_bytes, read_geometry, weights
from f2llm.models.network import load_packed
from f2llm.records.errors import InputError
from f2llm.train.memory import MB, bytes_per_token, find_budget, fit, saved_bytes, state_bytes
from f2llm.train.world import World

WORLD = World(rank=0, size=1, device=torch.device("cpu"))


def test_saved_bytes_count_every_saved_tensor_once():
    weight = torch.nn.Parameter(torch.ones(8, 8))
    states = torch.ones(10, 8)

    def forward():
        middle = states @ weight  # saves states
        (middle * middle).sum()  # saves middle, twice

    assert saved_bytes(forward) == 2 * 10 * 8 * 4


def test_a_token_costs_about_what_its_layers_save(backbone):
    found = bytes_per_token(load_packed(backbone), precision="float32", device=torch.device("cpu"))
    # Two layers of width 32 and 64: between ten and a hundred float32 vectors of that width each.
    assert 2 * 10 * 32 * 4 <= found <= 2 * 100 * 32 * 4


def test_the_estimate_of_a_model_that_is_not_here_is_near_what_is_measured(backbone):
    shape, model = read_geometry(backbone), load_packed(backbone)
    assert weights(shape) == sum(parameter.numel() for parameter in model.parameters() if parameter.ndim > 1)
    measured = bytes_per_token(model, precision="float32", device=torch.device("cpu"))
    assert activation_bytes(shape, precision="float32") == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(("kept", "chunk"), [(100, 100), (4096, 4096), (9000, 4096)])
def test_chunks_hold_no_more_than_fits(kept, chunk):
    assert fit(kept, longest_sequence=100, tokens_per_chunk=4096, per_token=10) == (chunk, kept)


def test_a_sequence_that_does_not_fit_is_refused_with_the_numbers():
    with pytest.raises(InputError, match="a sequence of 101 tokens needs about 202 MB, 200 MB are left"):
        fit(100, longest_sequence=101, tokens_per_chunk=4096, per_token=2 * MB)


def test_several_processes_also_hold_whole_weights_and_gradients():
    model = torch.nn.Sequential(torch.nn.Linear(10, 10, bias=False), torch.nn.Linear(5, 1, bias=False))
    model[1].requires_grad_(False)
    assert state_bytes(model, processes=1) == 100 * 16 + 5 * 4
    assert state_bytes(model, processes=2) == 100 * (16 + 8) + 5 * (4 + 4)


def test_the_setting_bounds_chunks_and_without_it_a_cpu_keeps_whole_chunks(toy, backbone):
    model = load_packed(backbone)
    asked = {"world": WORLD, "precision": "float32", "longest_sequence": 12}
    free = find_budget(model, settings=toy.settings().train, **asked)
    assert free.tokens_per_chunk == 4096 < free.tokens_kept
    bound = find_budget(model, settings=toy.settings(activations_mb=1).train, **asked)
    assert 12 <= bound.tokens_per_chunk == bound.tokens_kept < 4096
