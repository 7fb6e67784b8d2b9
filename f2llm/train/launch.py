"""Run the trainer under torchrun as a child process: its log, stop signals and failures become those of this job."""

import logging
import os
import resource
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from f2llm.jobs.code import ROOT
from f2llm.jobs.slurm import end_older_twins
from f2llm.records.errors import InputError
from f2llm.records.schemas.train import METRICS
from f2llm.records.terms import read_terms
from f2llm.train.__main__ import FAILED
from f2llm.train.life import CONFIGURED_SIZE, LAUNCHER, STOPPED_LINE
from f2llm.train.nodes import Shape, launch_prefix

LAST_LINES = 15
logger = logging.getLogger(__name__)


def launch_training(
    *,
    run: str | Path,
    model: str | Path,
    metrics: str | Path,
    validation: str | Path,
    shape: Shape,
    threads: int,
) -> dict[str, Any]:
    """Train the run of run.json in the processes of `shape`, each with `threads` threads; returns counts.

    Lines of the trainer go to the log of this process. Stop signals are passed on, so that the trainer saves its
    state first. Inside Slurm an older job of the same training is ended before this one starts.
    `training_peak_memory_mb` is that of the largest child process.

    Raises:
        InputError: the trainer failed or was stopped (with the faults that it reported), or several nodes are
            configured and this is no Slurm job.
    """
    end_older_twins()
    command = [
        *launch_prefix(shape, run=str(run)),
        "-m", "f2llm.train", "--config", str(run), "--output", str(model), "--metrics", str(metrics),
        "--validation", str(validation),
    ]  # fmt: skip
    logger.info("%s", " ".join(command))
    code, lines, stopped = _run(command, _environment(threads, processes=shape.nodes * shape.processes))
    if code:
        raise InputError(_failure_reason(run, code, lines, stopped=stopped))
    return _counts(metrics)


def _environment(threads: int, *, processes: int) -> dict[str, str]:
    """The environment of the child: this library importable from any folder, threads and processes as configured."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    this_process = f"{socket.gethostname()} {os.getpid()}"
    counts = {"OMP_NUM_THREADS": str(threads), CONFIGURED_SIZE: str(processes)}
    return {**os.environ, "PYTHONPATH": path, **counts, LAUNCHER: this_process}


def _run(command: list[str], environment: dict[str, str]) -> tuple[int, deque[str], bool]:
    """Run the command and log its lines as they come: its exit code, last lines, and whether it was stopped."""
    lines: deque[str] = deque(maxlen=500)
    with (
        subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        ) as child,
        _passing_signals_to(child) as signals,
    ):
        for line in child.stderr or ():
            logger.info("%s", line.rstrip())
            lines.append(line.rstrip())
    return child.returncode, lines, bool(signals)


@contextmanager
def _passing_signals_to(child: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Pass SIGTERM and SIGINT on to `child` inside the block; yields the list of signals received so far."""
    received: list[int] = []

    def pass_on(number: int, _: object) -> None:
        received.append(number)
        child.send_signal(signal.SIGTERM)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failure_reason(run: str | Path, code: int, lines: deque[str], *, stopped: bool) -> list[str]:
    """Why the trainer ended early: stopped and saved, its own faults, stopped before it could save, or a crash."""
    if any(line.startswith(STOPPED_LINE) for line in lines):
        return [f"{run}: training was stopped and saved its state; run the same command to go on"]
    # Every process may report the same fault.
    if faults := list(dict.fromkeys(line.partition(FAILED)[2] for line in lines if FAILED in line)):
        return faults
    if stopped:
        return [
            f"{run}: training was stopped before it could save its state; run the same command to go on from the last "
            "checkpoint"
        ]
    return [f"{run}: training ended with exit code {code}:", *list(lines)[-LAST_LINES:]]


def _counts(metrics: str | Path) -> dict[str, Any]:
    batches = read_terms(metrics, ["loss", "tokens", "computed_tokens", "seconds", "mfu"], schema=METRICS)
    first = batches["batch"] == 0  # figures of a step are the same in all its batches
    tokens, seconds = int(batches["tokens"].sum()), float(batches["seconds"][first].sum())
    return {
        "steps": int(first.sum()),
        "tokens": tokens,
        "computed_tokens": int(batches["computed_tokens"].sum()),
        "step_seconds": round(seconds, 3),
        "tokens_per_second": round(tokens / seconds, 1),
        "mfu": round(float(np.mean(batches["mfu"][first])), 4),
        "first_loss": float(batches["loss"][0]),
        "last_loss": float(batches["loss"][-1]),
        "training_peak_memory_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10,
    }
