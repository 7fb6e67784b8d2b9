"""What a cluster has against what jobs ask for, whose jobs are in its queue, and wrappers that outlast its controller."""

import os
import subprocess
from pathlib import Path

import pytest

from f2llm.jobs import slurm
from f2llm.jobs.slurm import (
    ResourceRequest,
    cancel_left_over_jobs,
    check_cluster,
    cluster_faults,
    count_gpus,
    end_older_twins,
    gpu_types,
    limit_minutes,
    older_twins,
    read_partitions,
    wait_for_controller,
)
from f2llm.records.errors import InputError

BIN = Path(__file__).parents[3] / "slurm" / "bin"
SINFO = """\
cpu*|20|64|256000|(null)|2-00:00:00
gpu|4|128|1031000|gpu:a100:8(S:0-1)|infinite
gpu|2|96|515000+|gpu:4|infinite
"""
QUEUE = """\
12|/home/a/run|rule_train_model_wildcards_
15|/home/a/run|rule_train_model_wildcards_
16|/home/b/run|rule_train_model_wildcards_
17|/home/a/run|rule_mine_source_wildcards_x
18|/home/a/run|my own job
19|/home/a/run|my own job
20|/home/a/run|rule_train_model_wildcards_
"""


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [("gpu", 1), ("gpu:2", 2), ("gpu:a100:4", 4), ("gpu:a100", 1), ("gpu:a100:8(S:0-1)", 8), ("gpu:2,gpu:old:1,shard:9", 3),
     ("(null)", 0), ("", 0), ("shard:4", 0), ("gpu:a100:2,nvme:1", 2)],
)  # fmt: skip
def test_gpus_are_counted_in_every_spelling(gres, gpus):
    assert count_gpus(gres) == gpus


@pytest.mark.parametrize(
    ("gres", "types"), [("gpu:a100:8(S:0-1)", {"a100"}), ("gpu:4", set()), ("gpu", set()), ("gpu:a:1,gpu:b,nvme:1", {"a", "b"})]
)  # fmt: skip
def test_types_of_gpus_are_read(gres, types):
    assert gpu_types(gres) == types


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("infinite", float("inf")), ("30:00", 30), ("12:00:00", 720), ("7-00:00:00", 10080), ("1-12", 2160), ("n/a", float("inf"))],
)  # fmt: skip
def test_time_limits_are_read(text, minutes):
    assert limit_minutes(text) == minutes


def test_a_partition_of_several_kinds_of_nodes_counts_its_largest():
    found = read_partitions(SINFO)
    assert found["cpu"] == ("cpu", True, 20, 0, 64, 256000, 2880, frozenset())
    assert found["gpu"] == ("gpu", False, 6, 8, 128, 1031000, float("inf"), {"a100"})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ResourceRequest("train_model", "gpu", gpus=9), "9 GPUs a node asked for, a node has 8 in partition gpu"),
        (ResourceRequest("train_model", "gpu", gpus=8), None),
        (ResourceRequest("train_model", None, gpus=1), "1 GPUs a node asked for, a node has 0 in partition cpu"),
        (ResourceRequest("train_model", "gpu", nodes=7), "7 nodes asked for, there are 6"),
        (ResourceRequest("train_model", "gpu", nodes=6), None),
        (ResourceRequest("mine_source", "fast"), "no partition 'fast' on this cluster (cpu, gpu); name one of these"),
        (ResourceRequest("mine_source", "cpu,gpu", cpus=128), None),
        (
            ResourceRequest("mine_source", "cpu,gpu", cpus=129),
            "129 CPUs a node asked for, a node has 64 in partition cpu",
        ),
        (ResourceRequest("mine_source", "cpu", memory_mb=256001), "256001 MB of memory asked for"),
        (ResourceRequest("mine_source", "cpu", minutes=2881), "2881 minutes asked for, a job may take 2880"),
        (ResourceRequest("mine_source", "cpu", minutes=2880, memory_mb=256000), None),
        (ResourceRequest("train_model", "gpu", gpus=8, gpu_types=frozenset({"a100"})), None),
        (
            ResourceRequest("train_model", "gpu", gpus=8, gpu_types=frozenset({"h100"})),
            "type 'h100' asked for, partition gpu has a100",
        ),
        (ResourceRequest("train_model", "gpu", gpus=4, processes=4), None),
        (
            ResourceRequest("train_model", "gpu", gpus=2, processes=4),
            "train.processes is 4, gres asks for 2 GPUs a node",
        ),
        (ResourceRequest("train_model", "cpu", gpus=0, processes=4), None),
    ],
)
def test_what_cannot_be_had_is_said_before_the_first_job(asked, said):
    faults = cluster_faults([asked], read_partitions(SINFO))
    assert len(faults) == (said is not None)
    assert said is None or (faults[0].startswith(f"{asked.rule}: ") and said in faults[0])


def test_rules_with_the_same_fault_share_a_line():
    faults = cluster_faults([ResourceRequest("a", "fast"), ResourceRequest("b", "fast")], read_partitions(SINFO))
    assert [fault.partition(":")[0] for fault in faults] == ["a, b"]


def test_without_slurm_the_missing_commands_are_named(monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None if name in ("sbatch", "srun") else name)
    with pytest.raises(InputError, match="slurm: sbatch, srun not found; run on a login node"):
        check_cluster([])


def test_a_controller_that_does_not_answer_is_said_so(monkeypatch, tmp_path):
    (tmp_path / "sinfo").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm.shutil, "which", lambda name: name)
    with pytest.raises(InputError, match="sinfo gives no answer .* is the controller up"):
        check_cluster([])


@pytest.mark.parametrize(("own", "twins"), [("15", ["12"]), ("12", []), ("20", ["12", "15"]), ("16", []), ("99", [])])
def test_older_jobs_of_the_same_rule_and_folder_are_twins(own, twins):
    assert older_twins(QUEUE, own=own) == twins


def test_jobs_that_are_not_snakemakes_are_left_alone():
    assert older_twins(QUEUE, own="19") == []


def test_twins_are_cancelled_until_they_are_gone(monkeypatch):
    queues, cancelled = [QUEUE, "15|/home/a/run|rule_train_model_wildcards_\n"], []
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    monkeypatch.setattr(slurm, "ask", lambda *_: queues.pop(0))
    monkeypatch.setattr(slurm.subprocess, "run", lambda command, check: cancelled.append(command))
    monkeypatch.setattr(slurm.time, "sleep", lambda _: None)
    end_older_twins()
    assert cancelled == [["scancel", "12"]]


def test_outside_slurm_nobody_is_asked(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(slurm, "ask", lambda *_: pytest.fail("asked"))
    end_older_twins()


def test_what_a_killed_run_left_in_the_queue_of_this_folder_is_cancelled(monkeypatch, tmp_path):
    here, cancelled = tmp_path.resolve(), []
    queue = f"3|{here}|rule_mine_source_wildcards_x\n4|{here}|group_tasks\n5|{here}|my own job\n6|/elsewhere|rule_mine_source\n"
    monkeypatch.setattr(slurm, "ask", lambda *_: queue)
    monkeypatch.setattr(slurm.subprocess, "run", lambda command, check: cancelled.append(command))
    assert cancel_left_over_jobs(tmp_path) == ["3", "4"]
    assert cancelled == [["scancel", "3", "4"]]


@pytest.mark.parametrize(("accounting", "folders"), [("none", 2), ("slurmdbd", 1)])
def test_wrappers_come_first_on_the_path_and_sacct_only_where_there_is_no_accounting(monkeypatch, accounting, folders):
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(slurm, "ask", lambda *_: f"AccountingStorageType = accounting_storage/{accounting}\n")
    wait_for_controller(bin_folder=BIN)
    assert os.environ["PATH"].split(":") == [str(BIN), str(BIN / "no-accounting")][:folders] + ["/usr/bin"]


def pretend(folder, name, text):
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_submission_waits_until_the_controller_is_back(tmp_path):
    pretend(tmp_path, "sleep", f"touch {tmp_path}/back")
    pretend(tmp_path, "scontrol", f"test -e {tmp_path}/back && echo 'Slurmctld(primary) at here is UP'")
    pretend(tmp_path, "sbatch", 'echo "submitted $*"')
    environment = {"PATH": f"{BIN}:{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sbatch", "--parsable", "a b"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "submitted --parsable a b\n"
    assert done.stderr == "sbatch: the controller does not answer, waiting for it\n"


def test_sacct_is_answered_by_squeue(tmp_path):
    pretend(tmp_path, "squeue", 'echo "$*"')
    command = [BIN / "no-accounting" / "sacct", "-X", "--parsable2", "--endtime", "now", "--name", "run-7"]
    done = subprocess.run(
        command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "--states=all --noheader --format=%i|%T --name run-7\n"
    other = subprocess.run([command[0], "-nu", "me", "-o", "Account"], capture_output=True, text=True, check=False)
    assert (other.returncode, other.stdout, other.stderr) == (1, "", "")  # as where there is no accounting
