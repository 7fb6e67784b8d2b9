"""Several nodes: what srun is told, and which older jobs do the same work."""

import pytest

from f2llm.errors import InputError
from f2llm.train import nodes
from f2llm.train.nodes import Shape, end_older_twins, launch_prefix, older_twins

QUEUE = """\
12|/home/a/run|rule_train_model_wildcards_
15|/home/a/run|rule_train_model_wildcards_
16|/home/b/run|rule_train_model_wildcards_
17|/home/a/run|rule_mine_source_wildcards_x
18|/home/a/run|my own job
19|/home/a/run|my own job
20|/home/a/run|rule_train_model_wildcards_
"""


@pytest.mark.parametrize(("own", "twins"), [("15", ["12"]), ("12", []), ("20", ["12", "15"]), ("16", []), ("99", [])])
def test_older_jobs_of_the_same_rule_and_folder_are_twins(own, twins):
    assert older_twins(QUEUE, own=own) == twins


def test_jobs_that_are_not_snakemakes_are_left_alone():
    assert older_twins(QUEUE, own="19") == []


def test_twins_are_cancelled_until_they_are_gone(monkeypatch):
    queues, cancelled = [QUEUE, "15|/home/a/run|rule_train_model_wildcards_\n"], []
    monkeypatch.setenv("SLURM_JOB_ID", "15")
    monkeypatch.setattr(nodes, "_ask", lambda *_: queues.pop(0))
    monkeypatch.setattr(nodes.subprocess, "run", lambda command, check: cancelled.append(command))
    monkeypatch.setattr(nodes.time, "sleep", lambda _: None)
    end_older_twins()
    assert cancelled == [["scancel", "12"]]


def test_outside_slurm_nobody_is_asked(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(nodes, "_ask", lambda *_: pytest.fail("asked"))
    end_older_twins()


def test_one_node_stands_alone_and_several_need_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert launch_prefix(Shape(1, 4, 8), run="run.json")[-3:] == ["--nproc-per-node", "4", "--standalone"]
    with pytest.raises(InputError, match=r"run.json: train.nodes is 2, but this is no Slurm job; run with --profile"):
        launch_prefix(Shape(2, 4, 8), run="run.json")


@pytest.mark.parametrize(("gres", "asked"), [("gpu:4", ["--gres=gpu:4"]), ("", [])])
def test_srun_is_told_everything_on_its_command_line(monkeypatch, gres, asked):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(nodes, "_ask", lambda *_: "NodeName=n1 NodeAddr=10.0.0.1 CPUTot=8")
    command = launch_prefix(Shape(2, 4, 16, gres), run="run.json")
    assert command[:5] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=16"]
    assert [word for word in command if word.startswith("--gres")] == asked
    assert command[command.index("--head") + 1].startswith("10.0.0.1:")
    assert command[-3:] == ["--processes", "4", "--"]
