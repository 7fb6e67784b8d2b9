"""However a training is interrupted, the same command ends with the same bytes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.train import life
from f2llm.train.launch import launch_training
from f2llm.train.nodes import Shape

ROOT = Path(__file__).parents[2]
STEPS = 120
SETTINGS = {"steps": STEPS, "checkpoint_every": 10, "freeze_embeddings": True}
PATIENCE = 120
OF_THE_CLOCK = ["seconds", "tokens_per_second", "mfu"]


def start(run, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "f2llm.train", "--config", str(run), "--output", str(run.with_name("model"))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def finish(process):
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def wait_for_steps(run, steps, process):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        logs = list(run.parent.glob("checkpoints/*/metrics.jsonl"))
        if logs and logs[0].read_text().count("\n") >= steps:
            return
        time.sleep(0.005)
    raise AssertionError(f"the trainer ended or never reached step {steps}: {process.poll()}")


@pytest.fixture(scope="module")
def uninterrupted(toy, tmp_path_factory):
    run = toy.plan_toy(tmp_path_factory.mktemp("whole"), **SETTINGS)
    code, said = finish(start(run))
    assert code == 0, said
    return run


def test_kill_9_then_sigterm_then_the_same_command_gives_the_same_bytes(toy, uninterrupted, tmp_path):
    run = toy.plan_toy(tmp_path, **SETTINGS)
    trainer = start(run)
    wait_for_steps(run, 33, trainer)
    trainer.kill()
    assert finish(trainer)[0] == -signal.SIGKILL
    saved = max(run.parent.glob("checkpoints/*/step_*"))
    # What a kill leaves half-written must not stay.
    saved.with_name(".step_000077.part").mkdir()
    run.with_name(".model.abcdefgh.part").mkdir()

    trainer = start(run)
    wait_for_steps(run, 61, trainer)
    second = start(run)
    os.kill(trainer.pid, signal.SIGSTOP)  # so that it cannot end before the second has seen it
    code, said = finish(second)
    assert (code, "another trainer is running" in said) == (1, True), said
    os.kill(trainer.pid, signal.SIGCONT)
    trainer.send_signal(signal.SIGTERM)
    code, said = finish(trainer)
    assert (code, "is saved, the same command goes on" in said) == (143, True), said
    assert f"going on after step {int(saved.name[-6:])} of {STEPS}" in said

    code, said = finish(start(run))
    assert code == 0, said
    assert "going on after step" in said
    for name in ("model.safetensors", "tokenizer.json", "config.json", "README.md", "f2llm.json"):
        ours, theirs = (folder.with_name("model") / name for folder in (run, uninterrupted))
        assert sha256_file(ours) == sha256_file(theirs), name
    ours, theirs = (
        pq.read_table(path.with_name("metrics.parquet"), filters=~pc.field("term").isin(OF_THE_CLOCK))
        for path in (run, uninterrupted)
    )
    assert ours == theirs
    assert ours["term"].to_pylist().count("loss") == STEPS
    assert not list(run.parent.rglob("*.part"))


def test_a_finished_training_is_exported_again_without_a_step(uninterrupted):
    before = sha256_file(uninterrupted.with_name("model") / "model.safetensors")
    code, said = finish(start(uninterrupted))
    assert code == 0, said
    assert "step 1/" not in said
    assert sha256_file(uninterrupted.with_name("model") / "model.safetensors") == before


def test_torchrun_is_launched_from_any_folder_and_its_end_is_ours(toy, tmp_path, monkeypatch):
    run = toy.plan_toy(tmp_path, steps=2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    where = {name: run.with_name(f"{name}.parquet") for name in ("metrics", "validation")}
    where["model"] = run.with_name("model")
    counts = launch_training(run=run, **where, shape=Shape(1, 1, 1), threads=1)
    assert counts["steps"] == 2
    assert counts["training_peak_memory_mb"] > 100

    rows = tmp_path / "tokens" / "pairs" / "passages.bin"
    whole = rows.read_bytes()
    rows.write_bytes((100_000).to_bytes(4, "little") + whole[4:])  # beyond the vocabulary
    with pytest.raises(InputError, match=r"passages\.bin: changed since .* run tokenise_source again$"):
        launch_training(run=run, **where, shape=Shape(1, 2, 1), threads=1)
    rows.write_bytes(whole)

    content = json.loads(run.read_text())
    content["plan_sha256"] = "0" * 64
    run.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"plan\.parquet: changed since .* run plan_run again") as error:
        launch_training(run=run, **where, shape=Shape(1, 1, 1), threads=1)
    assert len(error.value.faults) == 1


def test_a_trainer_does_not_outlive_the_process_that_launched_it(toy, tmp_path, monkeypatch):
    run = toy.plan_toy(tmp_path, steps=100_000)
    code = (
        "import sys; from f2llm.train.launch import Shape, launch_training; folder = sys.argv[1]; launch_training("
        "run=folder + '/run.json', model=folder + '/model', metrics=folder + '/m.parquet', validation=folder + '/v.parquet', "
        "shape=Shape(1, 1, 1), threads=1)"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, str(run.parent)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    wait_for_steps(run, 5, launcher)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    os.close(life.lock_folder(run.parent))  # refused while a trainer is alive
    steps = next(run.parent.glob("checkpoints/*/metrics.jsonl")).read_text().count("\n")
    time.sleep(2 * life.WATCH_SECONDS)
    assert next(run.parent.glob("checkpoints/*/metrics.jsonl")).read_text().count("\n") == steps
