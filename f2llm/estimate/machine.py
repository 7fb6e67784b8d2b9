"""Whether a run can work on this machine: what it needs against what is there, said before anything runs."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from f2llm.config.run import Run
from f2llm.errors import InputError
from f2llm.estimate.counts import Counts
from f2llm.estimate.sizing import Sizes
from f2llm.estimate.stages import Estimate, estimate, estimate_changed
from f2llm.jobs.devices import visible_devices
from f2llm.jobs.environment import check_environment
from f2llm.jobs.node import write_faults
from f2llm.jobs.slurm import CLIENTS, Asked, Partition, cluster_faults

MB = 1e6
# Half-written files, logs and what the estimate may miss.
DISK_MARGIN = 1.25


class Machine(NamedTuple):
    """What is here. Memory in MB of 2**20 bytes, disk in MB of 10**6; `tflops` of a GPU as training reaches them."""

    cores: int
    memory_mb: float
    free_disk_mb: float
    gpus: int
    slurm: bool
    bfloat16: bool
    tflops: float

    @classmethod
    def here(cls, results: str | Path, *, tflops: float) -> "Machine":
        """Return this machine, with the disk on which `results` is or will be."""
        place = Path(results).resolve()
        while not place.exists():
            place = place.parent
        info = Path("/proc/cpuinfo")
        flags = info.read_text(encoding="utf-8").split() if info.is_file() else []
        return cls(
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            memory_mb=psutil.virtual_memory().total / 2**20,
            free_disk_mb=shutil.disk_usage(place).free / MB,
            gpus=len(visible_devices()),
            slurm=all(shutil.which(name) for name in CLIENTS),
            bfloat16=bool({"amx_bf16", "avx512_bf16"} & set(flags)),
            tflops=tflops,
        )


def stages_of(counts: Counts, machine: Machine) -> Estimate:
    """Return the stages of a run as this machine, or a cluster with GPUs behind it, would do them."""
    return estimate(counts, _sizes(counts, machine), cores=machine.cores)


def stages_of_changed(first: Counts, changed: Sequence[Counts], machine: Machine) -> Estimate:
    """Return what the changed runs of an ablation take on top of their first run."""
    pairs = [(one, _sizes(one, machine)) for one in (first, *changed)]
    return estimate_changed(pairs[0], pairs[1:], cores=machine.cores)


def _sizes(counts: Counts, machine: Machine) -> Sizes:
    on_gpu = machine.gpus > 0 or (machine.slurm and counts.run.train.processes > 1)
    return Sizes(counts, bfloat16=machine.bfloat16, gpu_tflops=machine.tflops if on_gpu else None)


def describe_machine(machine: Machine) -> str:
    """Return the machine as lines for a person."""
    gpus = f"{machine.gpus} GPU{'s' * (machine.gpus != 1)}" if machine.gpus else "no GPU"
    slurm = "Slurm's commands are here" if machine.slurm else "no Slurm"
    bfloat16 = "bfloat16 in hardware" if machine.bfloat16 else "no bfloat16"
    return (
        f"machine      {machine.cores} cores ({bfloat16}), {machine.memory_mb / 1024:,.0f} GB memory, "
        f"{machine.free_disk_mb / 1000:,.0f} GB disk free, {gpus}, {slurm}"
    )


def check_run(
    run: Run,
    found: Estimate,
    machine: Machine,
    *,
    lock: str | Path,
    unreachable: Sequence[str] = (),
    partitions: Mapping[str, Partition] | None = None,
    folder: str | Path = ".",
) -> None:
    """Check that a run can work here, or on a cluster with these `partitions`.

    Raises:
        InputError: environment, place, disk, memory, GPUs, nodes, licences or sources do not suffice; all faults.
    """
    faults = [*write_faults(folder), *unreachable]
    try:
        check_environment(lock=lock)
    except InputError as error:
        faults += error.faults
    needed = found.disk_mb * DISK_MARGIN
    there = sum(stage.disk_mb for stage in found.stages if stage.jobs and stage.there >= stage.jobs)
    if needed - there > machine.free_disk_mb:
        faults.append(
            f"disk: about {(needed - there) / 1000:,.1f} GB are still needed, {machine.free_disk_mb / 1000:,.1f} GB "
            "are free; free some, or put results/ on a larger disk (a link will do)"
        )
    faults += _cluster_faults(run, found, partitions) if partitions else _place_faults(run, found, machine)
    if not run.sources:
        faults.append(
            f"licences: policy {run.licences!r} keeps every source out; change `licences` or name other sources"
        )
    if faults:
        raise InputError(faults)


def _cluster_faults(run: Run, found: Estimate, partitions: Mapping[str, Partition]) -> list[str]:
    """Return what no partition has: which one a job is sent to, and its GPUs, are the profile's to say."""
    anywhere, train = ",".join(partitions), run.train
    asked = [Asked(f"stage {stage.stage}", anywhere, memory_mb=math.ceil(stage.memory_mb)) for stage in found.stages]
    asked.append(Asked("train_model", anywhere, nodes=train.nodes, cpus=train.threads * train.processes))
    return cluster_faults(asked, dict(partitions))


def _place_faults(run: Run, found: Estimate, machine: Machine) -> list[str]:
    """Return what the machine lacks, where no cluster is behind it."""
    faults, train = [], run.train
    if machine.slurm:
        return faults  # what is behind it was not asked
    if train.nodes > 1:
        faults.append(
            f"train.nodes is {train.nodes}, and there is no Slurm here; run on a login node with --profile slurm, "
            "or set it to 1"
        )
    if machine.gpus and train.processes > machine.gpus:
        faults.append(f"train.processes is {train.processes}, this machine has {machine.gpus} GPUs; lower it")
    largest = max(found.stages, key=lambda stage: stage.memory_mb)
    if largest.memory_mb > machine.memory_mb:
        faults.append(
            f"memory: a job of the stage {largest.stage} needs about {largest.memory_mb / 1024:,.1f} GB, this machine "
            f"has {machine.memory_mb / 1024:,.1f} GB; take a larger one, or a smaller model"
        )
    return faults
