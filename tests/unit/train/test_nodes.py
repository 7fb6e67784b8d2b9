"""Several nodes: what srun is told."""

import pytest

from f2llm.records.errors import InputError
from f2llm.train import nodes
from f2llm.train.nodes import Shape, launch_prefix


def test_one_node_stands_alone_and_several_need_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    command = launch_prefix(Shape(1, 4, 8), run="run.json")
    assert command[-3:] == ["--nproc-per-node", "4", "--standalone"]
    with pytest.raises(InputError, match=r"run.json: train.nodes is 2, but this is no Slurm job; run with --profile"):
        launch_prefix(Shape(2, 4, 8), run="run.json")


def test_torchrun_waits_for_a_long_step_before_it_kills():
    command = nodes.torchrun(4)
    assert int(command[command.index("--shutdown-timeout") + 1]) >= 600


@pytest.mark.parametrize(("gres", "asked"), [("gpu:4", ["--gres=gpu:4"]), ("", [])])
def test_srun_is_told_everything_on_its_command_line(monkeypatch, gres, asked):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(nodes, "ask", lambda *_: "NodeName=n1 NodeAddr=10.0.0.1 CPUTot=8")
    monkeypatch.setattr(nodes.shutil, "which", lambda name: f"/usr/bin/{name}")
    command = launch_prefix(Shape(2, 4, 16, gres), run="run.json")
    assert command[:5] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=16"]
    assert [word for word in command if word.startswith("--gres")] == asked
    assert command[command.index("--head") + 1].startswith("10.0.0.1:")
    assert command[-3:] == ["--processes", "4", "--"]


def test_several_nodes_without_srun_are_refused(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(nodes.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match=r"train.nodes is 2, but there is no srun on this node"):
        launch_prefix(Shape(2, 4, 16), run="run.json")
