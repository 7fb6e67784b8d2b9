"""The cost of a run before anything runs, against the paper's counts and by hand."""

import dataclasses

import pytest

from f2llm.config.geometry import activation_bytes, forward_flops, layer_weights, read_geometry, training_flops, weights
from f2llm.config.load import load_run_file
from f2llm.config.models import Geometry
from f2llm.estimate.training import Machine, estimate_run, format_estimate, tokens_per_tuple
from f2llm.models.backbone import load_packed
from f2llm.records.files import write_json
from f2llm.train.memory import bytes_per_token

SMALL = Geometry(layers=2, hidden=8, intermediate=16, heads=4, kv_heads=2, head_dim=2, vocabulary=10)
QWEN3_06B = Geometry(layers=28, hidden=1024, intermediate=3072, heads=16, kv_heads=8, head_dim=128, vocabulary=151936)
MACHINE = Machine(tflops=1000.0, efficiency=0.5)


@pytest.fixture(scope="module")
def paper():
    return load_run_file("config/f2llm-0.6b.yaml")


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


def test_the_shape_is_read_from_a_model_and_activations_are_near_what_the_trainer_measures(backbone):
    import torch

    shape = read_geometry(backbone)
    model = load_packed(backbone)
    matrices = sum(parameter.numel() for parameter in model.parameters() if parameter.ndim > 1)
    assert weights(shape) == matrices
    measured = bytes_per_token(model, precision="float32", device=torch.device("cpu"))
    assert activation_bytes(shape, precision="float32") == pytest.approx(measured, rel=0.25)


def test_the_papers_run_has_the_papers_counts(paper):
    estimate = estimate_run(paper, machine=MACHINE, results="nowhere")
    assert (estimate.known, estimate.queries, estimate.passages) == (60, 5_933_988, 24_727_016)
    assert estimate.rows == pytest.approx(0.99 * 2 * 5_933_988, rel=1e-5)
    assert estimate.tokens / estimate.rows == pytest.approx(1365, abs=15)  # without the cut at 1,024 tokens: 1,361
    hours = estimate.tokens * 3 * 2 * 0.44e9 / (500e12 * 3600)
    assert hours <= estimate.train_hours <= 1.1 * hours
    said = format_estimate(estimate, run=paper, machine=MACHINE)
    assert "60 of 60 sources state their counts: 5,933,988 queries" in said
    assert "50% of 1,000 TFLOP/s, an assumption" in said


def test_a_process_among_several_holds_its_share_and_whole_weights_and_gradients(paper):
    shape = weights(paper.backbone.geometry)
    for processes, each in ((1, 16), (16, 16 / 16 + 8)):
        run = dataclasses.replace(paper, train=dataclasses.replace(paper.train, processes=processes, nodes=1))
        assert estimate_run(run, machine=MACHINE, results="nowhere").state_gb == pytest.approx(shape * each / 1e9)


def test_a_binary_class_has_one_negative(paper):
    named = {source.name: source for source in paper.sources}
    imdb, squad = named["imdb"].expected, named["squad"].expected
    assert tokens_per_tuple(named["imdb"], paper) == imdb.query_tokens + 2 * imdb.passage_tokens
    assert tokens_per_tuple(named["squad"], paper) == squad.query_tokens + 8 * squad.passage_tokens


def test_caps_and_missing_counts_are_respected(paper):
    one, other = paper.sources[0], dataclasses.replace(paper.sources[1], max_queries=100)
    bare = dataclasses.replace(one, expected=type(one.expected)())
    run = dataclasses.replace(paper, sources=(bare, other))
    estimate = estimate_run(run, machine=MACHINE, results="nowhere")
    assert (estimate.unknown, estimate.queries) == ((one.name,), 100)
    assert f"not counted  {one.name}" in format_estimate(estimate, run=run, machine=MACHINE)


def test_a_plan_replaces_expectations_by_exact_figures(paper, tmp_path):
    counts = {"steps": 7, "rows": 70, "tokens": 7000, "balance": {"16": 1.002}, "padded_over_useful": 3.9}
    write_json(tmp_path / "lineage/jobs/plan_run/f2llm-0.6b.json", {"counts": counts})
    estimate = estimate_run(paper, machine=MACHINE, results=tmp_path)
    assert (estimate.steps, estimate.rows, estimate.tokens) == (7, 70, 7000)
    said = format_estimate(estimate, run=paper, machine=MACHINE)
    assert "7 steps, 7,000 tokens (100 a tuple, 1,000 a step; exact, from the plan)" in said
    assert "in one padded tensor a batch 3.9 x; max / mean of processes <= 1.002" in said
