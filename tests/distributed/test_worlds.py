"""The mathematics does not know how many processes there are: two gloo processes equal one."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


def train(run, *, processes):
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    done = subprocess.run(
        [*start, "f2llm.train", "--config", str(run), "--output", str(run.with_name("model"))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_file(run.with_name("model") / "model.safetensors")
    whole = torch.cat([weights[name].flatten().double() for name in sorted(weights)])
    return whole, pq.read_table(run.with_name("metrics.parquet"))


def test_two_processes_in_many_chunks_equal_one_process_in_one_chunk(toy, tmp_path):
    # Small steps: Adam's first ones are the signs of gradients, which blow rounding up where one is near zero.
    one, metrics = train(toy.plan_toy(tmp_path / "one", learning_rate=0.001), processes=1)
    two, others = train(toy.plan_toy(tmp_path / "two", learning_rate=0.001, tokens_per_chunk=64), processes=2)
    assert metrics["source"].to_pylist() == others["source"].to_pylist()
    assert {"pairs", "kinds"} <= set(metrics["source"].to_pylist())
    for ours, theirs in zip(metrics["loss"].to_pylist(), others["loss"].to_pylist(), strict=True):
        assert abs(ours - theirs) <= 1e-6 * abs(ours)
    assert (one - two).norm() <= 1e-6 * one.norm()
    assert (one - two).norm() > 0  # another order of sums; equal bits would mean that the second run did not happen


def test_frozen_embeddings_stay_as_they_are_and_the_rest_moves(toy, tmp_path):
    run = toy.plan_toy(tmp_path, freeze_embeddings=True, steps=2)
    train(run, processes=2)
    before = load_file(tmp_path / "model" / "model.safetensors")
    after = load_file(run.with_name("model") / "model.safetensors")
    assert before.keys() == after.keys()
    assert torch.equal(before.pop("embed_tokens.weight"), after.pop("embed_tokens.weight"))
    assert all(not torch.equal(before[name], after[name]) for name in before)
