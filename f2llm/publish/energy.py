"""An estimate of the energy and CO2 of a run: what its jobs took, times what config says a core, memory and a GPU draw.

The formula is that of Green Algorithms (doi 10.1002/advs.202100707): time x (cores + memory + GPUs) x overhead of
the data centre x carbon intensity of the grid, with cores and GPUs taken as busy all the time. Nothing is measured
but the time and the memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.config.run import Energy
from f2llm.runs.manifests import peak_memory_of, unit_of

TRAINING = "train_model"
MB = 1 << 20  # bytes, as peak memory is counted
SECONDS_PER_HOUR, WATTS_PER_KILOWATT, BYTES_PER_GB = 3600, 1000, 10**9


class JobEnergy(NamedTuple):
    """A row of records.schemas.ENERGY."""

    rule: str
    unit: str
    seconds: float
    cores: int
    gpus: int
    memory_gb: float
    kwh: float
    grams: float


def estimate_energy(jobs: Sequence[Mapping[str, Any]], *, energy: Energy) -> list[JobEnergy]:
    """The estimate of each job, from its manifest, sorted by (rule, unit).

    A job has the cores that its manifest names, training all of its processes on all nodes, any other job
    without word of it one. A job that says it ran on CUDA has one GPU; then training had one a process.
    """
    on_gpu = any(_on_gpu(job) for job in jobs)
    return sorted(_estimate(job, energy=energy, on_gpu=on_gpu) for job in jobs)


def assumptions(energy: Energy) -> list[tuple[str, str, str]]:
    """What the estimate takes for known: (quantity, value, where the default comes from)."""
    paper = "Green Algorithms, doi 10.1002/advs.202100707"
    return [
        ("a busy core", f"{energy.watts_per_core:g} W", f"12: {paper}, processor not known"),
        ("memory in use", f"{energy.watts_per_gb:g} W/GB", f"0.3725: {paper}"),
        ("a busy GPU", f"{energy.watts_per_gpu:g} W", "700: rated power of an NVIDIA H100 SXM"),
        ("overhead of the data centre", f"{energy.overhead:g}", f"1.67: {paper}, place not known"),
        ("CO2 of the grid", f"{energy.grams_per_kwh:g} g/kWh", f"475: {paper}, world"),
    ]


def _estimate(job: Mapping[str, Any], *, energy: Energy, on_gpu: bool) -> JobEnergy:
    params = job.get("params", {})
    processes = int(params.get("processes", 1)) * int(params.get("nodes", 1))
    cores = int(job.get("threads") or params.get("threads") or 1)
    gpus = 1 if _on_gpu(job) else 0
    if job["rule"] == TRAINING:
        cores, gpus = int(params.get("threads", 1)) * processes, processes if on_gpu else 0
    memory_gb = peak_memory_of(job) * MB / BYTES_PER_GB
    watts = cores * energy.watts_per_core + memory_gb * energy.watts_per_gb + gpus * energy.watts_per_gpu
    kwh = job["seconds"] / SECONDS_PER_HOUR * watts / WATTS_PER_KILOWATT * energy.overhead
    return JobEnergy(job["rule"], unit_of(job), job["seconds"], cores, gpus, memory_gb, kwh, kwh * energy.grams_per_kwh)


def _on_gpu(job: Mapping[str, Any]) -> bool:
    return str(job["counts"].get("device", "")).startswith("cuda")
