"""A Slurm cluster as its login node sees it: what it has against what jobs ask for, and whose jobs are in its queue."""

import logging
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from f2llm.errors import InputError

CLIENTS = ("sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
# Of jobs that Snakemake's plugin submits: their comment is the rule and its wildcards.
COMMENTS = ("rule_", "group_")
QUEUE = ("squeue", "--me", "--noheader", "--format=%A|%Z|%k")
ASK_SECONDS = 60
TWIN_SECONDS = 300.0
LOOK_SECONDS = 2.0
logger = logging.getLogger(__name__)


class ResourceRequest(NamedTuple):
    """What the jobs of a rule ask for; None where it is left to the cluster. GPUs and CPUs are those of a node.

    `processes` of a node are those that want a GPU each, 0 where that is not so.
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


def check_cluster(asked: Iterable[ResourceRequest]) -> None:
    """Check what rules ask for against the partitions of this cluster.

    Raises:
        InputError: no Slurm here, a controller that does not answer, an unknown partition, or more nodes, GPUs, CPUs,
            memory or time than there are; all faults at once.
    """
    faults = cluster_faults(asked, ask_partitions())
    if faults:
        raise InputError(faults)


def ask_partitions() -> dict[str, Partition]:
    """The partitions of this cluster.

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
    """The partitions in lines of "name|nodes|CPUs|MB|gres|time limit" of sinfo, by name."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, nodes, cpus, memory, gres, limit = (part.strip() for part in line.split("|"))
        default, name = name.endswith("*"), name.rstrip("*")
        here = Partition(
            name, default, int(nodes), count_gpus(gres), _number(cpus), _number(memory), limit_minutes(limit),
            gpu_types(gres),
        )  # fmt: skip
        before = found.get(name, here._replace(nodes=0))
        found[name] = here._replace(
            nodes=before.nodes + here.nodes, gpus=max(before.gpus, here.gpus), cpus=max(before.cpus, here.cpus),
            memory_mb=max(before.memory_mb, here.memory_mb), minutes=max(before.minutes, here.minutes),
            gpu_types=before.gpu_types | here.gpu_types,
        )  # fmt: skip
    return found


def cluster_faults(asked: Iterable[ResourceRequest], partitions: dict[str, Partition]) -> list[str]:
    """What cannot be had, a line a fault."""
    default = next((name for name, partition in partitions.items() if partition.default), None)
    faults: dict[str, dict[str, None]] = {}  # said once for all rules alike
    for job in asked:
        # Slurm takes the first of several partitions that has room; each must exist, one must be large enough.
        names = (job.partition or default or "").split(",")
        unknown = [name for name in names if name and name not in partitions]
        if unknown:
            there = ", ".join(sorted(partitions))
            what = f"no partition {', '.join(map(repr, unknown))} on this cluster ({there}); name one of these"
            faults.setdefault(what, {})[job.rule] = None
            continue
        lacks = [_unmet_requests(job, partitions[name]) for name in names if name]
        if lacks and all(lacks):
            for what in lacks[0]:
                faults.setdefault(what, {})[job.rule] = None
    return [f"{', '.join(rules)}: {what} (slurm/config.yaml or your site's profile)" for what, rules in faults.items()]


def _unmet_requests(job: ResourceRequest, has: Partition) -> list[str]:
    pairs = (
        ("nodes", job.nodes, has.nodes, "there are"), ("GPUs a node", job.gpus, has.gpus, "a node has"),
        ("CPUs a node", job.cpus, has.cpus, "a node has"), ("MB of memory", job.memory_mb, has.memory_mb, "a node has"),
        ("minutes", job.minutes, has.minutes, "a job may take"),
    )  # fmt: skip
    lacks = [
        f"{wanted} {unit} asked for, {verb} {most:g} in partition {has.name}; ask for less or name another partition"
        for unit, wanted, most, verb in pairs
        if wanted is not None and wanted > most
    ]
    there = ", ".join(sorted(has.gpu_types)) or "none with a type"
    lacks += [
        f"GPUs of type {kind!r} asked for, partition {has.name} has {there}; name one of these"
        for kind in sorted(job.gpu_types - has.gpu_types)
    ]
    if job.gpus and job.processes > job.gpus:
        lacks.append(f"train.processes is {job.processes}, gres asks for {job.gpus} GPUs a node; make them equal")
    return lacks


def count_gpus(gres: str) -> int:
    """The GPUs in a list of generic resources, such as "gpu:a100:4(S:0-1),shard:8"."""
    counts = re.findall(r"(?:^|,)gpu(?::[^:,(]*[^:,(\d][^:,(]*)?(?::(\d+))?(?=[,(]|$)", gres)
    return sum(int(count or 1) for count in counts)


def gpu_types(gres: str) -> frozenset[str]:
    """The types of the GPUs in such a list that have one."""
    return frozenset(re.findall(r"(?:^|,)gpu:([^:,(]*[^:,(\d][^:,(]*)", gres))


def limit_minutes(text: str) -> float:
    """A time limit of Slurm ("infinite", "30:00", "12:00:00", "7-00:00:00") in minutes."""
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
    here = str(Path(folder).resolve())
    left = [str(number) for number, (where, _) in read_queue(ask(*QUEUE)).items() if where == here]
    if left:
        subprocess.run(["scancel", *left], check=False)
    return left


def end_older_twins() -> None:
    """Inside a Slurm job of Snakemake: cancel older jobs that do the very same thing, and wait until they are gone.

    After a kill -9 of Snakemake its jobs stay in the queue, and the next run submits them again. The same are
    jobs with equal user, working directory and comment (the plugin's rule and wildcards); the newest wins, and
    goes on from the checkpoint of the older one. Outside Slurm nothing happens.

    Raises:
        InputError: the older job does not end.
    """
    own = os.environ.get("SLURM_JOB_ID")
    deadline = time.monotonic() + TWIN_SECONDS
    while own and (twins := older_twins(ask(*QUEUE), own=own)):
        if time.monotonic() > deadline:
            raise InputError(f"Slurm jobs {', '.join(twins)} do the same work and do not end; scancel them")
        logger.info("this job (%s) ends older jobs with the same work: %s", own, ", ".join(twins))
        subprocess.run(["scancel", *twins], check=False)
        time.sleep(LOOK_SECONDS)


def older_twins(queue: str, *, own: str) -> list[str]:
    """Older jobs with the same working directory and comment in lines of "id|directory|comment"."""
    jobs = read_queue(queue)
    mine = jobs.get(int(own))
    return [str(number) for number, what in sorted(jobs.items()) if mine and what == mine and number < int(own)]


def read_queue(text: str) -> dict[int, tuple[str, str]]:
    """Number -> (working directory, comment) of Snakemake's jobs in lines of "id|directory|comment"."""
    jobs = {}
    for line in text.splitlines():
        number, _, what = line.strip().partition("|")
        folder, _, comment = what.rpartition("|")
        if number.isdigit() and comment.startswith(COMMENTS):
            jobs[int(number)] = (folder, comment)
    return jobs


def ask(*command: str) -> str:
    """What a command says.

    Raises:
        OSError, subprocess.SubprocessError: it cannot be run, fails, or takes longer than a minute.
    """
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=ASK_SECONDS).stdout


def _number(text: str) -> int:
    """A count of sinfo, where "128+" stands for nodes of several sizes."""
    return int(re.match(r"\d*", text)[0] or 0)
