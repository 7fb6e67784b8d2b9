"""Ablations of a toy run: one DAG, what its runs share, and what it says."""

import os
import shutil
import signal
import subprocess
import time

import yaml

from f2llm.evaluate.ablation import MEAN, read_effects
from f2llm.records.files import read_json, sha256_path

PATIENCE = 120  # seconds until the first plan
CHANGES = [
    {"name": "without-toy_kinds", "set": {"sources": ["toy_pairs", "toy_topics"]}},
    {"name": "mined", "set": {"mine": {"negatives": 2}}},
]


def times(folder, pattern):
    return {path: path.stat().st_mtime_ns for path in (folder / "results").glob(pattern)}


def killed_at_the_first_plan(toy):
    process = subprocess.Popen(
        toy.command("ablate"), cwd=toy.folder, env=toy.environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + PATIENCE
    while (
        process.poll() is None and time.monotonic() < until and not any(toy.folder.glob("results/runs/toy-*/run.json"))
    ):
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def test_an_ablation_is_one_dag_that_makes_only_what_the_changes_concern(copied):
    folder = copied.folder
    copied.configure(ablate=CHANGES)
    jobs = {"mine_source": 3, "plan_run": 2, "train_model": 2, "evaluate_run_small": 2, "compare_changes": 1}
    assert copied.planned("--", "ablate") == {"ablate": 1, **jobs}
    shared = times(folder, "sources/**/*.parquet") | times(folder, "mined/**/*.parquet") | times(folder, "runs/toy/*")
    killed_at_the_first_plan(copied)
    said = copied.run("ablate").stdout
    assert {path: path.stat().st_mtime_ns for path in shared} == shared
    assert copied.planned("--", "ablate") == {}
    effects = read_effects(folder / "results/ablations/toy/scores.parquet")
    assert [one.run for one in effects if one.task == MEAN] == ["toy-without-toy_kinds", "toy-mined"]
    assert len(effects) == 2 * 5
    assert "less toy" in said and "without-toy_kinds" in said
    page = (folder / "results/ablations/toy/index.html").read_text()
    assert "sources: toy_kinds is left out" in page and "settings: mine.negatives: 3 -&gt; 2" in page
    board = read_json(folder / "results/scores/scoreboard.json")
    assert (board["run"], board["earlier_runs"]) == ("toy", [])

    # Alone, the run has the same model.
    models = {name: sha256_path(folder / f"results/runs/toy-{name}/model") for name in ("without-toy_kinds", "mined")}
    assert len({*models.values(), sha256_path(folder / "results/runs/toy/model")}) == 3
    mine = yaml.safe_load((folder / "config/config.yaml").read_text())["mine"]
    copied.configure(run="toy-mined", mine=mine | {"negatives": 2})
    assert copied.planned("--", "train") == {}
    shutil.rmtree(folder / "results/runs/toy-mined")  # with its checkpoints
    copied.run("train")
    assert sha256_path(folder / "results/runs/toy-mined/model") == models["mined"]


def test_each_source_left_out_is_a_training_of_its_own(copied):
    copied.configure(ablate="leave_one_source_out")
    jobs = {"plan_run": 3, "train_model": 3, "evaluate_run_small": 3, "compare_changes": 1}
    assert copied.planned("--", "ablate") == {"ablate": 1, **jobs}


def test_faulty_changes_are_refused_before_any_job_with_all_their_faults(fresh):
    faulty = [{"name": "none", "set": {"sources": []}}, {"name": "typo", "set": {"sources": ["toy_pears"]}}]
    fresh.configure(ablate=faulty)
    done = fresh.run("ablate", check=False)
    assert done.returncode == 1
    assert "config: ablate: none: sources: [] should be non-empty" in done.stderr
    assert "did you mean 'toy_pairs'?" in done.stderr
    assert not (fresh.folder / "results").exists()


def test_a_config_without_changes_has_nothing_to_ablate(fresh):
    done = fresh.run("ablate", "-n", check=False)
    assert done.returncode == 1
    assert "config: there is no `ablate`; say `ablate: leave_one_source_out`" in done.stdout + done.stderr
