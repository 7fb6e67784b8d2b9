"""Weights, operations and memory of a model from its shape, by hand and against published sizes."""

import pytest

from f2llm.config.geometry import Geometry, forward_flops, layer_weights, state_bytes, training_flops, weights

SMALL = Geometry(layers=2, hidden=8, intermediate=16, heads=4, kv_heads=2, head_dim=2, vocabulary=10)
QWEN3_06B = Geometry(layers=28, hidden=1024, intermediate=3072, heads=16, kv_heads=8, head_dim=128, vocabulary=151936)


def test_weights_and_operations_by_hand():
    # A layer: q and o 8 x 8, k and v 8 x 4, three matrices 8 x 16.
    assert layer_weights(SMALL) == 2 * (2 * 64 + 2 * 32 + 3 * 128)
    assert weights(SMALL) == layer_weights(SMALL) + 80
    attention = 2 * 4 * 8 * 5 / 2  # layers x (scores and values, 2 each) x width x half of the length
    assert forward_flops(SMALL, tokens=3, mean_length=5) == 3 * (2 * layer_weights(SMALL) + attention)
    assert training_flops(SMALL, tokens=3, mean_length=5) == 3 * forward_flops(SMALL, tokens=3, mean_length=5)


def test_the_published_size_of_a_backbone():
    assert layer_weights(QWEN3_06B) == pytest.approx(0.44e9, rel=0.01)  # "0.44B non-embedding" on its model card
    assert weights(QWEN3_06B) == pytest.approx(0.596e9, rel=0.01)


@pytest.mark.parametrize(("processes", "each"), [(1, 16), (16, 16 / 16 + 8)])
def test_a_process_among_several_holds_its_share_and_whole_weights_and_gradients(processes, each):
    assert state_bytes(SMALL, processes=processes) == pytest.approx(weights(SMALL) * each)
