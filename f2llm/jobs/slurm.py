"""Slurm as its login node sees it: partitions against what jobs request, and jobs of this folder in the queue."""

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from f2llm.records.errors import InputError

CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
# How comments begin of jobs that Snakemake's plugin submits: the rule and its wildcards.
COMMENTS = ("rule_", "group_")
QUEUE = ("squeue", "--me", "--noheader", "--format=%A|%Z|%k")
ASK_SECONDS = 60
TWIN_SECONDS = 300.0
LOOK_SECONDS = 2.0
logger = logging.getLogger(__name__)


class ResourceRequest(NamedTuple):
    """Resources that the jobs of a rule request; None leaves it to the cluster. GPUs and CPUs are those of a node.

    `processes` is the number of processes of a node that want a GPU each, 0 if they want none.
    """

    rule: str
    partition: str | None = None
    nodes: int = 1
    gpus: int = 0
    cpus: int | None = None
    memory_mb: int | None = None
    minutes: int | None = None
    gpu_types: frozenset[str] = frozenset()
    processes: int = 0


class Partition(NamedTuple):
    """Nodes that jobs may ask for: GPUs, CPUs and memory of the largest node, and the longest time of a job."""

    name: str
    default: bool
    nodes: int
    gpus: int
    cpus: int
    memory_mb: int
    minutes: float
    gpu_types: frozenset[str] = frozenset()


def check_cluster(requests: Iterable[ResourceRequest]) -> None:
    """Check what rules request against the partitions of this cluster.

    Raises:
        InputError: no Slurm here, a controller that does not answer, an unknown partition, or more nodes, GPUs, CPUs,
            memory or time than there are; all faults at once.
    """
    faults = cluster_faults(requests, ask_partitions())
    if faults:
        raise InputError(faults)


def ask_partitions() -> dict[str, Partition]:
    """Partitions of this cluster, by name.

    Raises:
        InputError: no Slurm here, or a controller that does not answer.
    """
    missing = [name for name in CLIENTS if shutil.which(name) is None]
    if missing:
        raise InputError(
            f"slurm: {', '.join(missing)} not found; run on a login node of the cluster (`module load slurm` on some), "
            "or without --profile slurm"
        )
    try:
        return read_partitions(ask("sinfo", "--noheader", "--format=%P|%D|%c|%m|%G|%l"))
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"slurm: sinfo gives no answer ({error}); is the controller up? `scontrol ping`") from error


def read_partitions(text: str) -> dict[str, Partition]:
    """Partitions, by name, from sinfo's lines of "name|nodes|CPUs|MB|gres|time limit".

    A partition has a line for each kind of node; sizes are the largest of any kind.
    """
    partitions: dict[str, Partition] = {}
    for line in text.splitlines():
        name, nodes, cpus, memory, gres, limit = (part.strip() for part in line.split("|"))
        default, name = name.endswith("*"), name.rstrip("*")
        kind = Partition(
            name, default, int(nodes), count_gpus(gres), _number(cpus), _number(memory), limit_minutes(limit),
            gpu_types(gres),
        )  # fmt: skip
        before = partitions.get(name, kind._replace(nodes=0))
        partitions[name] = kind._replace(
            nodes=before.nodes + kind.nodes, gpus=max(before.gpus, kind.gpus), cpus=max(before.cpus, kind.cpus),
            memory_mb=max(before.memory_mb, kind.memory_mb), minutes=max(before.minutes, kind.minutes),
            gpu_types=before.gpu_types | kind.gpu_types,
        )  # fmt: skip
    return partitions


def cluster_faults(requests: Iterable[ResourceRequest], partitions: dict[str, Partition]) -> list[str]:
    """One line for each request that no partition meets, with the rules that make it."""
    default = next((name for name, partition in partitions.items() if partition.default), None)
    rules_of: dict[str, dict[str, None]] = {}  # fault -> rules, as an ordered set
    for request in requests:
        # Slurm takes the first of several partitions that has room; each must exist, one must be large enough.
        names = (request.partition or default or "").split(",")
        unknown = [name for name in names if name and name not in partitions]
        if unknown:
            known = ", ".join(sorted(partitions))
            fault = f"no partition {', '.join(map(repr, unknown))} on this cluster ({known}); name one of these"
            rules_of.setdefault(fault, {})[request.rule] = None
            continue
        unmet = [_unmet_requests(request, partitions[name]) for name in names if name]
        if unmet and all(unmet):
            for fault in unmet[0]:
                rules_of.setdefault(fault, {})[request.rule] = None
    advice = "slurm/config.yaml or your site's profile"
    return [f"{', '.join(rules)}: {fault} ({advice})" for fault, rules in rules_of.items()]


def _unmet_requests(request: ResourceRequest, partition: Partition) -> list[str]:
    limits = (
        ("nodes", request.nodes, partition.nodes, "there are"),
        ("GPUs a node", request.gpus, partition.gpus, "a node has"),
        ("CPUs a node", request.cpus, partition.cpus, "a node has"),
        ("MB of memory", request.memory_mb, partition.memory_mb, "a node has"),
        ("minutes", request.minutes, partition.minutes, "a job may take"),
    )
    where = f"in partition {partition.name}; ask for less or name another partition"
    faults = [
        f"{requested} {unit} asked for, {verb} {limit:g} {where}"
        for unit, requested, limit, verb in limits
        if requested is not None and requested > limit
    ]
    types = ", ".join(sorted(partition.gpu_types)) or "none with a type"
    faults += [
        f"GPUs of type {kind!r} asked for, partition {partition.name} has {types}; name one of these"
        for kind in sorted(request.gpu_types - partition.gpu_types)
    ]
    processes, gpus = request.processes, request.gpus
    if gpus and processes > gpus:
        faults.append(f"train.processes is {processes}, gres asks for {gpus} GPUs a node; make them equal")
    return faults


def count_gpus(gres: str) -> int:
    """Number of GPUs in a list of generic resources such as "gpu:a100:4(S:0-1),shard:8"."""
    counts = re.findall(r"(?:^|,)gpu(?::[^:,(]*[^:,(\d][^:,(]*)?(?::(\d+))?(?=[,(]|$)", gres)
    return sum(int(count or 1) for count in counts)


def gpu_types(gres: str) -> frozenset[str]:
    """Types of the GPUs in a list of generic resources, of those that have one."""
    return frozenset(re.findall(r"(?:^|,)gpu:([^:,(]*[^:,(\d][^:,(]*)", gres))


def limit_minutes(text: str) -> float:
    """Minutes of a Slurm time limit ("infinite", "30:00", "12:00:00", "7-00:00:00")."""
    if not text[:1].isdigit():
        return float("inf")
    days, dash, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    # With days the first part is hours, without them one part is minutes and the last of several seconds.
    if dash:
        parts += [0] * (3 - len(parts))
    elif len(parts) == 1:
        parts = [0, *parts, 0]
    hours, minutes, seconds = [0] * (3 - len(parts)) + parts
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def wait_for_controller(*, bin_folder: str | Path) -> None:
    """Put wrappers of Slurm's commands on this process's PATH that outlast a controller that is away.

    The plugin takes a refused sbatch for a failed job. And while the controller is away it asks sacct, which on a
    cluster without accounting never answers again: there a wrapper answers with what squeue says.
    """
    folders = [Path(bin_folder)]
    if "accounting_storage/none" in ask("scontrol", "show", "config"):
        folders.append(Path(bin_folder, "no-accounting"))
    os.environ["PATH"] = os.pathsep.join([*(str(folder.resolve()) for folder in folders), os.environ["PATH"]])


def cancel_left_over_jobs(folder: str | Path) -> list[str]:
    """Cancel the jobs that a killed Snakemake left in the queue of this folder, and return their numbers.

    Only the one live run of a folder may call this: it is about to submit the same jobs again.
    """
    own_folder = str(Path(folder).resolve())
    left_over = [str(number) for number, (where, _) in read_queue(ask(*QUEUE)).items() if where == own_folder]
    if left_over:
        subprocess.run(["scancel", *left_over], check=False)
    return left_over


def end_older_twins() -> None:
    """Inside a Slurm job of Snakemake: cancel older jobs that do the same work, and wait until they are gone.

    After a kill -9 of Snakemake its jobs stay in the queue, and the next run submits them again. Two jobs do the
    same work if user, working directory and comment (the plugin's rule and wildcards) are equal; the newest wins,
    and continues from the checkpoint of the older one. Outside Slurm nothing happens.

    Raises:
        InputError: the older job does not end.
    """
    job_id = os.environ.get("SLURM_JOB_ID")
    deadline = time.monotonic() + TWIN_SECONDS
    while job_id and (twins := older_twins(ask(*QUEUE), own=job_id)):
        if time.monotonic() > deadline:
            raise InputError(f"Slurm jobs {', '.join(twins)} do the same work and do not end; scancel them")
        logger.info("this job (%s) ends older jobs with the same work: %s", job_id, ", ".join(twins))
        subprocess.run(["scancel", *twins], check=False)
        time.sleep(LOOK_SECONDS)


def older_twins(queue: str, *, own: str) -> list[str]:
    """Numbers of older jobs with the directory and comment of job `own`, from lines of "id|directory|comment"."""
    jobs = read_queue(queue)
    own_work = jobs.get(int(own))
    return [str(number) for number, work in sorted(jobs.items()) if own_work == work and number < int(own)]


def read_queue(text: str) -> dict[int, tuple[str, str]]:
    """Number -> (working directory, comment) of Snakemake's jobs, from lines of "id|directory|comment"."""
    jobs = {}
    for line in text.splitlines():
        number, _, work = line.strip().partition("|")
        folder, _, comment = work.rpartition("|")
        if number.isdigit() and comment.startswith(COMMENTS):
            jobs[int(number)] = (folder, comment)
    return jobs


def ask(*command: str) -> str:
    """Standard output of a command.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be run, fails, or takes longer than a minute.
    """
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=ASK_SECONDS).stdout


def _number(text: str) -> int:
    """A count of sinfo, which writes "128+" for nodes of several sizes."""
    return int(re.match(r"\d*", text)[0] or 0)
