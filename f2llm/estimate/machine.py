"""The machine that a run is started on, and whether the run can work there: its needs against what the machine has."""

import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from f2llm.config.run import Run
from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.sizing import Sizes
from f2llm.estimate.stages import Estimate, estimate, estimate_changed
from f2llm.jobs.devices import visible_devices
from f2llm.jobs.environment import check_environment
from f2llm.jobs.node import write_faults
from f2llm.jobs.slurm import CLIENTS, Partition, ResourceRequest, cluster_faults
from f2llm.models.device import computes_bfloat16
from f2llm.records.errors import InputError

MB = 1e6
# Half-written files, logs and what the estimate may miss.
DISK_MARGIN = 1.25


class Machine(NamedTuple):
    """A machine. Memory in MB of 2**20 bytes, disk in MB of 10**6; `tflops` of a GPU as training reaches them."""

    cores: int
    memory_mb: float
    free_disk_mb: float
    gpus: int
    slurm: bool
    bfloat16: bool
    tflops: float

    @classmethod
    def here(cls, results: str | Path, *, tflops: float) -> "Machine":
        """This machine, with the disk on which `results` is or will be."""
        place = Path(results).resolve()
        while not place.exists():
            place = place.parent
        return cls(
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            memory_mb=psutil.virtual_memory().total / 2**20,
            free_disk_mb=shutil.disk_usage(place).free / MB,
            gpus=len(visible_devices()),
            slurm=all(shutil.which(name) for name in CLIENTS),
            bfloat16=computes_bfloat16(),
            tflops=tflops,
        )

    def sizes(self, expected: ExpectedRows) -> Sizes:
        """Costs of jobs as this machine, or a cluster with GPUs behind it, would do them."""
        on_gpu = self.gpus > 0 or (self.slurm and expected.run.train.processes > 1)
        return Sizes(expected, bfloat16=self.bfloat16, gpu_tflops=self.tflops if on_gpu else None)


def stages_of(expected: ExpectedRows, machine: Machine) -> Estimate:
    """Stages of a run as `machine` would do them."""
    return estimate(machine.sizes(expected), cores=machine.cores)


def stages_of_changed(first: ExpectedRows, changed: Sequence[ExpectedRows], machine: Machine) -> Estimate:
    """Stages that the changed runs of an ablation add to their first run."""
    return estimate_changed(machine.sizes(first), map(machine.sizes, changed), cores=machine.cores)


def describe_machine(machine: Machine) -> str:
    """The machine in a line for a person."""
    gpus = f"{machine.gpus} GPU{'s' * (machine.gpus != 1)}" if machine.gpus else "no GPU"
    slurm = "Slurm's commands are here" if machine.slurm else "no Slurm"
    bfloat16 = "bfloat16 in hardware" if machine.bfloat16 else "no bfloat16"
    return (
        f"machine      {machine.cores} cores ({bfloat16}), {machine.memory_mb / 1024:,.0f} GB memory, "
        f"{machine.free_disk_mb / 1000:,.0f} GB disk free, {gpus}, {slurm}"
    )


def check_run(
    run: Run,
    whole: Estimate,
    machine: Machine,
    *,
    lock: str | Path,
    unreachable: Sequence[str] = (),
    partitions: Mapping[str, Partition] | None = None,
    folder: str | Path = ".",
) -> None:
    """Check that a run can work here, or on a cluster with these `partitions`; `lock` is the file of pinned packages.

    `whole` is its estimate, `unreachable` the faults of places that files would be fetched from, `folder` the checkout.

    Raises:
        InputError: all faults of environment, checkout, disk, memory, GPUs, nodes, licences and sources.
    """
    faults = [*write_faults(folder), *unreachable]
    try:
        check_environment(lock=lock)
    except InputError as error:
        faults += error.faults
    written_mb = sum(stage.disk_mb for stage in whole.stages if stage.jobs and stage.there >= stage.jobs)
    needed_mb = whole.disk_mb * DISK_MARGIN - written_mb
    if needed_mb > machine.free_disk_mb:
        faults.append(
            f"disk: about {needed_mb / 1000:,.1f} GB are still needed, {machine.free_disk_mb / 1000:,.1f} GB "
            "are free; free some, or put results/ on a larger disk (a link will do)"
        )
    faults += _cluster_faults(run, whole, partitions) if partitions else _machine_faults(run, whole, machine)
    if not run.sources:
        faults.append(
            f"licences: policy {run.licences!r} keeps every source out; change `licences` or name other sources"
        )
    if faults:
        raise InputError(faults)


def _cluster_faults(run: Run, whole: Estimate, partitions: Mapping[str, Partition]) -> list[str]:
    """Needs that no partition meets; the profile says which partition a job is sent to, and its GPUs."""
    any_partition, train = ",".join(partitions), run.train
    requests = [
        ResourceRequest(f"stage {stage.stage}", any_partition, memory_mb=math.ceil(stage.memory_mb))
        for stage in whole.stages
    ]
    requests.append(
        ResourceRequest("train_model", any_partition, nodes=train.nodes, cpus=train.threads * train.processes)
    )
    return cluster_faults(requests, dict(partitions))


def _machine_faults(run: Run, whole: Estimate, machine: Machine) -> list[str]:
    """Needs that the machine does not meet; none where a cluster is behind it, which was not asked."""
    faults, train = [], run.train
    if machine.slurm:
        return faults
    if train.nodes > 1:
        faults.append(
            f"train.nodes is {train.nodes}, and there is no Slurm here; run on a login node with --profile slurm, "
            "or set it to 1"
        )
    if machine.gpus and train.processes > machine.gpus:
        faults.append(f"train.processes is {train.processes}, this machine has {machine.gpus} GPUs; lower it")
    largest = max(whole.stages, key=lambda stage: stage.memory_mb)
    if largest.memory_mb > machine.memory_mb:
        faults.append(
            f"memory: a job of the stage {largest.stage} needs about {largest.memory_mb / 1024:,.1f} GB, this machine "
            f"has {machine.memory_mb / 1024:,.1f} GB; take a larger one, or a smaller model"
        )
    return faults
