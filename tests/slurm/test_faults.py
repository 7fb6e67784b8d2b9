"""A training on a real Slurm goes on through every fault, and ends with the result of one that nothing disturbed.

Minutes long, so not part of `make test-slurm`: `make test-slurm-faults`. `--figures FILE` writes what was seen.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from benchmarks import machine
from f2llm.records.files import sha256_file

STEPS = 900
PATIENCE = 400
# Same plan, other order of sums: what two nodes may differ from one.
TOLERANCE = 1e-5


def weights(folder):
    stored = load_file(folder / "results/runs/toy/model/model.safetensors")
    return torch.cat([stored[name].flatten().double() for name in sorted(stored)])


def until(what, ready, *, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.1)
    return found


class Training:
    """`snakemake --cores all --profile slurm train` in a checkout whose plan is made."""

    def __init__(self, toy, cluster):
        self.toy, self.cluster, self.disturbed_at, self.step = toy, cluster, None, None
        self.process = None

    def start(self):
        # To a file: a pipe that nobody reads would stop snakemake.
        with open(self.toy.folder / "snakemake.out", "ab") as out:
            self.process = subprocess.Popen(
                self.toy.command("train"), cwd=self.toy.folder, env=self.toy.environment(), stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def said(self):
        return (self.toy.folder / "snakemake.out").read_text()

    def steps(self):
        logs = list(self.toy.folder.glob("results/runs/toy/checkpoints/*/metrics.jsonl"))
        return logs[0].read_text().count("\n") if logs else 0

    def reach(self, step):
        until(f"step {step}\n{self.said()[-3000:]}", lambda: self.steps() >= step or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()[-5000:]
        self.step, self.disturbed_at = self.steps(), time.monotonic()

    def jobs(self, state=""):
        lines = self.cluster.ask("squeue", "-h", "-o", "%A|%T|%Z|%k").splitlines()
        rows = [line.split("|") for line in lines]
        here = str(self.toy.folder.resolve())
        return [row[0] for row in rows if row[2] == here and row[3].startswith("rule_train_model") and state in row[1]]

    def trainers(self):
        """Return rank -> process of the trainers of this checkout."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                if b"f2llm.train\0--config" not in command or b"torch.distributed.run" in command:
                    continue
                if (entry / "cwd").resolve() == self.toy.folder.resolve():
                    variables = dict(one.partition(b"=")[::2] for one in (entry / "environ").read_bytes().split(b"\0"))
                    found[int(variables[b"RANK"])] = int(entry.name)
            except (OSError, KeyError):
                continue
        return found

    def finish(self):
        assert self.process.wait(timeout=PATIENCE) == 0, self.said()[-8000:]

    def end(self):
        """End what a failed test left."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.cluster.ask("scancel", *(self.jobs() or ["0"]))

    def resumed(self):
        """Return the step after which the last attempt went on."""
        text = (self.toy.folder / "logs/train_model/toy.log").read_text()
        found = [line for line in text.splitlines() if "going on after step" in line]
        return int(found[-1].partition("going on after step ")[2].split()[0]) if found else 0


@pytest.fixture(scope="session")
def planned(template, local, tmp_path_factory):
    """A checkout with everything up to the plan of a longer training."""
    folder = tmp_path_factory.mktemp("planned") / "checkout"
    shutil.copytree(template, folder)
    toy = local.Toy(folder)
    toy.configure(train=local.TOY_RUN["train"] | {"steps": STEPS, "learning_rate": 0.00001, "checkpoint_every": 50})
    toy.run("results/runs/toy/plan.parquet")
    return toy


@pytest.fixture(scope="session")
def undisturbed(planned, local, tmp_path_factory):
    """The same training on this machine, without Slurm and without faults."""
    folder = tmp_path_factory.mktemp("undisturbed") / "checkout"
    shutil.copytree(planned.folder, folder, symlinks=True)
    began = time.monotonic()
    local.Toy(folder).run("train")
    return folder, time.monotonic() - began


@pytest.fixture
def training(planned, cluster, slurm_toy, tmp_path):
    shutil.copytree(planned.folder, tmp_path / "checkout", symlinks=True)
    made = Training(slurm_toy(tmp_path / "checkout", cluster), cluster)
    yield made
    made.end()


def two_nodes(training):
    path = training.toy.folder / "config" / "config.yaml"
    path.write_text(path.read_text().replace("train:\n", "train:\n  nodes: 2\n"))


def check(training, undisturbed, figures, fault, *, exact=True, resumed=True):
    """Compare with the undisturbed result and note the figures."""
    folder, seconds = undisturbed
    ours, theirs = (where / "results/runs/toy" for where in (training.toy.folder, folder))
    same = sha256_file(ours / "model/model.safetensors") == sha256_file(theirs / "model/model.safetensors")
    apart = ((weights(training.toy.folder) - weights(folder)).norm() / weights(folder).norm()).item()
    went_on = training.resumed()
    figures[fault] = {
        "steps": STEPS, "submissions": training.said().count("has been submitted with SLURM jobid"), "steps_at_fault": training.step, "went_on_after_step": went_on,
        "seconds_from_fault_to_end": round(time.monotonic() - training.disturbed_at, 1),
        "seconds_of_undisturbed_local_training": round(seconds, 1),
        "same_bytes": same, "relative_difference_of_weights": apart,
    }  # fmt: skip
    assert not exact or same
    assert apart <= TOLERANCE
    assert not resumed or went_on > 0
    assert not list((training.toy.folder / "results").rglob("*.part"))
    done = training.toy.run("train", "-n")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_cancelled_job(training, undisturbed, figures):
    training.start()
    training.reach(100)
    training.cluster.ask("scancel", *training.jobs())
    training.finish()
    check(training, undisturbed, figures, "scancel of the training job")


def test_a_time_limit(training, undisturbed, figures):
    training.toy.profile(runtime="attempt")  # a minute, then two
    training.start()
    training.reach(100)
    os.kill(training.trainers()[0], signal.SIGSTOP)  # stands for a slow training; Slurm continues it to end it
    first = training.jobs()
    until("the end of the first job", lambda: training.jobs("RUNNING") not in ([], first))
    training.disturbed_at = time.monotonic()
    training.finish()
    check(training, undisturbed, figures, "time limit")


def test_a_memory_limit(training, undisturbed, figures):
    training.toy.profile(mem_mb="700 * attempt")
    training.start()
    first = until("the first job", training.jobs)
    training.step, training.disturbed_at = 0, time.monotonic()
    training.finish()
    assert "Trying to restart job" in training.said()
    assert first not in training.jobs()
    check(training, undisturbed, figures, "memory limit", resumed=False)


def test_a_killed_rank_of_two_nodes(training, undisturbed, figures):
    two_nodes(training)
    training.start()
    training.reach(100)
    os.kill(training.trainers()[1], signal.SIGKILL)
    training.finish()
    check(training, undisturbed, figures, "kill -9 of one rank of two nodes", exact=False)


def test_a_lost_node_of_two(training, undisturbed, figures):
    two_nodes(training)
    training.start()
    training.reach(100)
    job, node = training.jobs(), training.cluster.nodes[1]
    training.cluster.kill(f"slurmd-{node}")
    os.kill(training.trainers()[0], signal.SIGSTOP)  # the work itself would end before Slurm misses the node
    until("the job back in the queue", lambda: training.jobs("PENDING"))
    training.cluster.start_node(node)
    training.finish()
    assert job
    check(training, undisturbed, figures, "node daemon killed during two-node training", exact=False)


def test_a_controller_that_is_away_for_half_a_minute(training, undisturbed, figures, accounting="no accounting"):
    training.start()
    training.reach(100)
    training.cluster.kill("slurmctld")
    time.sleep(30)
    training.cluster.start_controller()
    training.finish()
    check(training, undisturbed, figures, f"controller away for 30 s, {accounting}", resumed=False)


@pytest.fixture
def accounted(local_cluster, planned, slurm_toy, tmp_path):
    """The same on a cluster with accounting."""
    cluster = local_cluster(accounting=True)
    shutil.copytree(planned.folder, tmp_path / "checkout", symlinks=True)
    made = Training(slurm_toy(tmp_path / "checkout", cluster), cluster)
    yield made
    made.end()
    cluster.stop()


def test_a_controller_that_is_away_with_accounting(accounted, undisturbed, figures):
    test_a_controller_that_is_away_for_half_a_minute(accounted, undisturbed, figures, accounting="with accounting")


def test_a_submission_while_the_controller_is_away(training):
    folder = Path(__file__).parents[2] / "slurm" / "bin"
    environment = {**os.environ, **training.cluster.environment}
    environment["PATH"] = f"{folder}:{environment['PATH']}"
    training.cluster.kill("slurmctld")
    submission = subprocess.Popen(
        ["sbatch", "--parsable", "--output=/dev/null", "--wrap=true"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    assert submission.poll() is None
    training.cluster.start_controller()
    out, _ = submission.communicate(timeout=60)
    assert (submission.returncode, out.strip().isdigit()) == (0, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_or_killed_snakemake_and_the_same_command(training, undisturbed, figures, number):
    training.start()
    training.reach(100)
    training.process.send_signal(number)
    assert training.process.wait(timeout=120) != 0
    if number == signal.SIGKILL:
        assert training.jobs()  # nobody has told Slurm
    training.start()
    training.finish()
    assert (number == signal.SIGKILL) == ("cancelled jobs of an earlier run that was killed" in training.said())
    check(training, undisturbed, figures, f"{number.name} of snakemake, same command again")


def test_an_older_job_for_the_same_training_is_cancelled_by_the_newer_one(training, undisturbed, figures):
    folder = training.toy.folder
    shutil.rmtree(folder / "results/runs")  # so that the plan is a job of its own, before the training
    training.start()
    until("the first job of this run", lambda: "has been submitted" in training.said())
    older = training.cluster.ask(
        "sbatch", "--parsable", "--mem=50", "--comment=rule_train_model", f"--chdir={folder}", "--output=/dev/null", "--wrap=sleep 900"
    )  # fmt: skip
    assert older.isdigit()
    training.reach(1)
    assert older not in training.jobs()
    training.finish()
    assert f"ends older jobs with the same work: {older}" in (folder / "logs/train_model/toy.log").read_text()
    check(training, undisturbed, figures, "older job for the same training in the queue", resumed=False)


@pytest.fixture(scope="session")
def figures(request):
    """What was seen, written where `--figures` says."""
    seen = {}
    yield seen
    path = request.config.getoption("--figures")
    if path and seen:
        write_figures(path, seen)


def write_figures(path, seen):
    before = json.loads(Path(path).read_text())["faults"] if Path(path).is_file() else {}
    content = {
        "machine": machine.machine(),
        "versions": machine.versions(),
        "slurm": "22.05",
        "commit": machine.commit(),
    }
    Path(path).write_text(json.dumps(content | {"faults": before | seen}, indent=1) + "\n")
