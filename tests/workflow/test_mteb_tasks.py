"""Tasks of MTEB(eng, v2) from a hub on this machine: fetched, read and scored by mteb itself.

`--mteb-tier full` takes all 41 tasks (half an hour on two cores), else those of the smoke tier; their data are made up.
"""

import importlib.util
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from f2llm.config.load import load_run
from f2llm.records.files import read_json, sha256_file

ROOT = Path(__file__).parents[2]


def module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


mteb_like = module(Path(__file__).with_name("mteb_like.py"))
stub_server = module(ROOT / "tests/unit/sources/stub_server.py")


@pytest.fixture
def toy(fresh, request, monkeypatch):
    """A checkout whose benchmark is mteb's, and a hub that holds the tasks at their commits."""
    tier = request.config.getoption("--mteb-tier", default="smoke")
    content = yaml.safe_load((ROOT / "config/benchmarks/mteb-eng-v2.yaml").read_text())
    stanza = content | {"name": "toy-eng-v2", "tasks": [task | {"check": "off"} for task in content["tasks"]]}
    (fresh.folder / "config/benchmarks/toy-eng-v2.yaml").write_text(yaml.safe_dump(stanza))
    scored = {"tier": tier, "max_length": 40, "precision": "float32", "models": [{"model": "tiny-retriever"}]}
    fresh.configure(benchmark="toy-eng-v2", evaluate=scored)
    settings = yaml.safe_load((fresh.folder / "config/config.yaml").read_text())
    run = load_run(settings, folder=fresh.folder / "config", where="config")
    hub = stub_server.Server()
    for task in run.benchmark.tasks:
        hub.repositories[f"datasets/{task.mteb.repository}"] = {task.mteb.revision: mteb_like.files_of(task)}
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    fresh.tasks = [task.name for task in run.benchmark.tasks if tier in task.tiers]
    yield fresh
    hub.shutdown()
    hub.server_close()


def results(toy):
    folder = toy.folder / "results/scores/tiny-retriever"
    return {path.stem: path for path in folder.glob("*.json") if path.stem in toy.tasks}


def test_killed_in_the_middle_the_next_run_scores_only_the_rest_with_the_same_results(toy):
    toy.run("fetch_benchmark")
    process = subprocess.Popen(
        toy.command("score_models"), cwd=toy.folder, env=toy.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60 * len(toy.tasks)
    while len(results(toy)) < len(toy.tasks) // 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    subprocess.run(["pkill", "-9", "-s", str(process.pid)], check=False)
    assert process.wait() == -signal.SIGKILL
    done = {name: path.stat().st_mtime_ns for name, path in results(toy).items()}
    assert len(toy.tasks) // 2 <= len(done) < len(toy.tasks)

    toy.run("score_models")
    again = results(toy)
    assert sorted(again) == sorted(toy.tasks)
    # A job that was at work when it was killed may have written its result: it is made anew.
    kept = [name for name, when in done.items() if again[name].stat().st_mtime_ns == when]
    assert len(kept) >= len(done) - 2
    first = {name: sha256_file(path) for name, path in again.items()}
    for name in again:
        assert read_json(again[name])["scores"], name

    shutil.rmtree(toy.folder / "results/scores")
    toy.run("score_models")
    assert {name: sha256_file(path) for name, path in results(toy).items()} == first
