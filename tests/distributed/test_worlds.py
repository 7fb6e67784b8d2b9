"""The mathematics does not know how many processes there are: two gloo processes equal one.

Trainings that are compared run in float64 (tests/unit/float64.py says why).
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from f2llm.records.schemas.train import METRICS
from f2llm.records.terms import read_terms
from f2llm.train import life

ROOT = Path(__file__).parents[2]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
IN_FLOAT64 = [str(ROOT / "tests/unit/float64.py")]
AS_IT_IS = ["-m", "f2llm.train"]
RELATIVE = 1e-9


def command(run, *, processes, start=("--standalone",), trainer=IN_FLOAT64):
    torchrun = ["-m", "torch.distributed.run", *start, "--nproc-per-node", str(processes)] if processes else []
    return [
        sys.executable, *torchrun, *trainer, "--config", str(run), "--output", str(run.with_name("model")),
    ]  # fmt: skip


def train(run, *, processes, trainer=IN_FLOAT64):
    whole = command(run, processes=processes if processes > 1 else 0, trainer=trainer)
    done = subprocess.run(whole, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"{processes} processes on cpu" in done.stderr
    return results(run)


def assert_same(weights, others):
    assert (weights - others).norm() <= RELATIVE * others.norm()


def results(run):
    weights = load_file(run.with_name("model") / "model.safetensors")
    whole = torch.cat([weights[name].flatten() for name in sorted(weights)])
    return whole, read_terms(run.with_name("metrics.parquet"), ["loss"], schema=METRICS)


def test_two_processes_in_many_chunks_equal_one_process_in_one_chunk(toy, tmp_path):
    one, metrics = train(toy.plan_toy(tmp_path / "one", learning_rate=0.001), processes=1)
    two, others = train(toy.plan_toy(tmp_path / "two", learning_rate=0.001, tokens_per_chunk=64), processes=2)
    assert metrics["source"].tolist() == others["source"].tolist()
    assert {"pairs", "kinds"} <= set(metrics["source"].tolist())
    for ours, theirs in zip(metrics["loss"].tolist(), others["loss"].tolist(), strict=True):
        assert abs(ours - theirs) <= RELATIVE * abs(ours)
    assert one.dtype == two.dtype == torch.float64
    assert_same(two, one)


def test_frozen_embeddings_stay_as_they_are_and_the_rest_moves(toy, tmp_path):
    run = toy.plan_toy(tmp_path, freeze_embeddings=True, steps=2)
    train(run, processes=2, trainer=AS_IT_IS)
    before = load_file(tmp_path / "model" / "model.safetensors")
    after = load_file(run.with_name("model") / "model.safetensors")
    assert before.keys() == after.keys()
    assert torch.equal(before.pop("embed_tokens.weight"), after.pop("embed_tokens.weight"))
    assert all(not torch.equal(before[name], after[name]) for name in before)


MANY = {"learning_rate": 0.001, "tokens_per_chunk": 64, "batches_per_step": 2, "steps": 6}


@pytest.fixture(scope="module")
def alone(toy, tmp_path_factory):
    return train(toy.plan_toy(tmp_path_factory.mktemp("alone"), **MANY), processes=1)


@pytest.mark.parametrize("reshard", [False, True])
@pytest.mark.parametrize("lora", [None, {"rank": 2, "alpha": 4}])
def test_sharding_kept_graphs_and_low_rank_additions_do_not_change_the_mathematics(toy, tmp_path, alone, reshard, lora):
    if lora:
        alone = train(toy.plan_toy(tmp_path / "one", **MANY, lora=lora), processes=1)
    run = toy.plan_toy(tmp_path / "two", **MANY, lora=lora, reshard_after_forward=reshard, activations_mb=2)
    weights, metrics = train(run, processes=2)
    assert_same(weights, alone[0])
    assert metrics["loss"].tolist() == pytest.approx(alone[1]["loss"].tolist(), rel=RELATIVE)


def test_a_checkpoint_goes_on_with_another_number_of_processes_and_another_sharding(toy, tmp_path, alone):
    run = toy.plan_toy(tmp_path, **MANY, checkpoint_every=3)
    stopped = subprocess.Popen(command(run, processes=2), env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(run.parent.glob("checkpoints/*/step_*/checkpoint.json")) and time.monotonic() < deadline:
        time.sleep(0.002)
    stopped.kill()
    stopped.wait()
    assert not run.with_name("model").exists()
    content = json.loads(run.read_text())
    content["settings"]["train"]["reshard_after_forward"] = True
    run.write_text(json.dumps(content))
    time.sleep(2 * life.WATCH_SECONDS)  # the workers of the killed torchrun end by themselves
    weights, metrics = train(run, processes=1)
    assert metrics["step"].tolist() == alone[1]["step"].tolist()
    assert_same(weights, alone[0])


def test_two_nodes_that_meet_by_c10d_equal_one_process(toy, tmp_path, alone):
    run = toy.plan_toy(tmp_path, **MANY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-id", "7", "--rdzv-endpoint", f"127.0.0.1:{port}"]
    nodes = [
        subprocess.Popen(
            command(run, processes=1, start=[*meeting, "--local-addr", "127.0.0.1"]),
            env=ENVIRONMENT, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [node.communicate(timeout=180)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    weights, _ = results(run)
    assert_same(weights, alone[0])


def test_validation_changes_no_weight(toy, tmp_path):
    held = {"share": 0.3, "most": 4}
    often, seldom = (
        train(
            toy.plan_toy(tmp_path / str(every), **MANY, validation=held | {"every": every}),
            processes=1,
            trainer=AS_IT_IS,
        )[0]
        for every in (1, 100)
    )
    assert torch.equal(often, seldom)  # products of the same shapes in the same order
    counts = [
        set(pq.read_table(tmp_path / str(every) / "run" / "validation.parquet")["step"].to_pylist())
        for every in (1, 100)
    ]
    assert counts == [{0, 1, 2, 3, 4, 5, 6}, {0, 6}]


def test_processes_with_different_plans_are_stopped(toy, tmp_path):
    code = (
        "import os, sys; from f2llm.records.errors import InputError; from f2llm.train.world import join_world\n"
        "world = join_world(threads=1)\n"
        "try: world.agree({'plan': 'a' * 64 + os.environ['RANK'], 'code': 'same'})\n"
        "except InputError as error: print(error.faults); sys.exit(3)\n"
    )
    script = tmp_path / "agree.py"
    script.write_text(code)
    whole = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(whole, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "process 1 of 2: plan differs from that of process 0; give all nodes the same files" in done.stdout
