"""`snakemake --cores all --profile slurm` on a real Slurm gives what a laptop gives, at one and at two training nodes."""

import shutil
import subprocess

import pytest
import torch
from safetensors.torch import load_file

from f2llm.records.files import read_json, sha256_file

TABLES = (
    "corpus",
    "queries",
    "origins",
    "removed",
    "near",
    "hits",
    "shared",
    "tuples",
    "rejected",
    "plan",
    "validation_plan",
)


def tables(folder):
    found = sorted(path for path in (folder / "results").rglob("*.parquet") if path.stem in TABLES)
    return {str(path.relative_to(folder)): sha256_file(path) for path in found}


def weights(toy):
    stored = load_file(toy.folder / "results/runs/toy/model/model.safetensors")
    return torch.cat([stored[name].flatten().double() for name in sorted(stored)])


@pytest.fixture(scope="module")
def runs(template, cluster, slurm_toy, tmp_path_factory):
    """The whole DAG with the documented command in two checkouts side by side: most of the time is waiting for Slurm."""
    started = {}
    for nodes in (1, 2):
        folder = tmp_path_factory.mktemp(f"nodes{nodes}") / "checkout"
        shutil.copytree(template, folder)
        toy = slurm_toy(folder, cluster)
        toy.configure(train=toy.settings["train"] | {"nodes": nodes})
        out = open(folder / "snakemake.out", "wb")
        process = subprocess.Popen(toy.command(), cwd=folder, env=toy.environment(), stdout=out, stderr=out)
        assert process.args[1:] == ["-m", "snakemake", "--cores", "all", "--profile", "slurm"]
        started[nodes] = toy, process
    yield started
    for _, process in started.values():
        process.kill()


def wait(run):
    toy, process = run
    code = process.wait(timeout=900)
    said = (toy.folder / "snakemake.out").read_text()
    assert code == 0, said[-8000:]
    return toy, said


def test_one_node_gives_the_bytes_of_a_local_run(runs, finished):
    toy, said = wait(runs[1])
    rules = toy.submitted(said)
    assert {"mine_source", "train_model"} <= rules
    assert not {"fetch_source", "check_gate"} & rules  # the login node has the network, and small jobs stay there
    assert "/group_tasks" in said  # tiny jobs share one
    assert tables(toy.folder) == tables(finished.folder)
    assert torch.equal(weights(toy), weights(finished))
    assert toy.planned() == {}


def test_two_training_nodes_give_the_same_tables_and_weights(runs, finished):
    toy, _ = wait(runs[2])
    assert tables(toy.folder) == tables(finished.folder)
    assert (weights(toy) - weights(finished)).norm() <= 1e-5 * weights(finished).norm()
    log = (toy.folder / "logs/train_model/toy.log").read_text()
    assert "srun --nodes=2 --ntasks=2 --ntasks-per-node=1" in log
    assert "--gres=gpu:1" in log
    assert "2 processes on cpu" in log
    assert read_json(toy.folder / "results/runs/toy/gate.json")["passed"] is True


def test_what_the_cluster_does_not_have_is_refused_before_the_first_job(toy):
    toy.profile(gres="gpu:3", slurm_partition="main", mine_source={"slurm_partition": "fast"})
    done = toy.run(check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "train_model: 3 GPUs a node asked for, a node has 2 in partition main" in said
    assert "mine_source: no partition 'fast' on this cluster (main); name one of these" in said
    assert not toy.submitted(done.stdout + done.stderr)
