"""The commands that start torchrun on this node, or on each node of a Slurm job, and where its processes meet.

A rule with an `mpi` resource runs in the batch script on the first node, and Snakemake's jobstep plugin has
removed nearly every SLURM_* variable there. So the inner srun gets everything on its command line; it starts this
module once on each node, and there this module becomes torchrun.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from f2llm.jobs.slurm import ask
from f2llm.records.errors import InputError

JOIN_SECONDS = 300
# The time that torchrun gives its workers between SIGTERM and SIGKILL: a step, a validation and a save must fit.
SHUTDOWN_SECONDS = 1200


class Shape(NamedTuple):
    """The nodes of a training, and what runs on each of them."""

    nodes: int
    processes: int  # of a node
    cpus: int  # of a node
    gres: str = ""  # the GPUs of a node as Slurm names them, such as "gpu:8"


def torchrun(processes: int, *meeting: str) -> list[str]:
    """The part of a command that runs torchrun on one node."""
    shutdown = ["--shutdown-timeout", str(SHUTDOWN_SECONDS)]
    return [sys.executable, "-m", "torch.distributed.run", *shutdown, "--nproc-per-node", str(processes), *meeting]


def launch_prefix(shape: Shape, *, run: str) -> list[str]:
    """The part of a command before `-m f2llm.train`: torchrun on this node, or srun on all nodes of this Slurm job.

    Raises:
        InputError: several nodes are configured, and there is no Slurm job or no srun.
    """
    if shape.nodes == 1:
        return torchrun(shape.processes, "--standalone")
    if "SLURM_JOB_ID" not in os.environ:
        raise InputError(
            f"{run}: train.nodes is {shape.nodes}, but this is no Slurm job; run with --profile slurm, or start "
            f"`torchrun --nnodes {shape.nodes} --shutdown-timeout {SHUTDOWN_SECONDS} --rdzv-backend c10d "
            "--rdzv-endpoint HOST:PORT -m f2llm.train ...` on each node"
        )
    if shutil.which("srun") is None:
        raise InputError(
            f"{run}: train.nodes is {shape.nodes}, but there is no srun on this node; put it on the PATH of jobs"
        )
    head = f"{node_address()}:{_free_port()}"
    request = {"nodes": shape.nodes, "ntasks": shape.nodes, "ntasks-per-node": 1, "cpus-per-task": shape.cpus}
    request |= {"gres": shape.gres} if shape.gres else {}
    srun_options = [f"--{key}={value}" for key, value in request.items()]
    node = [sys.executable, "-m", "f2llm.train.nodes", "--head", head, "--processes", str(shape.processes), "--"]
    return ["srun", *srun_options, "--kill-on-bad-exit=1", "--export=ALL", *node]


def node_address() -> str:
    """The address under which Slurm reaches this node, since the name of the node need not resolve.

    Raises:
        InputError: Slurm does not know this node.
    """
    name = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    try:
        answer = ask("scontrol", "show", "node", "-o", name)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"node {name}: scontrol cannot say its address ({error}); run inside a Slurm job") from error
    return next(word.partition("=")[2] for word in answer.split() if word.startswith("NodeAddr="))


def main(arguments: Sequence[str] | None = None) -> None:
    """Replace this process on one node of a Slurm step by torchrun."""
    parser = argparse.ArgumentParser(prog="f2llm.train.nodes", description=__doc__)
    parser.add_argument("--head", required=True, help="address:port of the first node")
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    step = f"{os.environ['SLURM_JOB_ID']}.{os.environ['SLURM_STEP_ID']}"
    hosting = f"is_host={int(os.environ['SLURM_NODEID'] == '0')},join_timeout={JOIN_SECONDS}"
    meeting = [
        "--nnodes", os.environ["SLURM_NNODES"], "--local-addr", node_address(), "--rdzv-backend", "c10d",
        "--rdzv-id", step, "--rdzv-endpoint", options.head, "--rdzv-conf", hosting,
    ]  # fmt: skip
    command = [*torchrun(options.processes, *meeting), *options.program]
    os.execv(command[0], command)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
