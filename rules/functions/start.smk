"""Checks before the first job of a call of snakemake, and messages after the last."""

import os
import time

from f2llm.jobs.lock import acquire
from f2llm.jobs.node import announce, check_node, write_faults
from f2llm.jobs.slurm import (
    ResourceRequest,
    cancel_left_over_jobs,
    check_cluster,
    gpu_types,
    wait_for_controller,
)
from f2llm.jobs.status import end_lines, failure_end_lines, note_call

BEGAN = time.time()


def refuse(error):
    """Stop with the message of `error`, without a traceback."""
    raise WorkflowError(f"this run cannot work as it is:\n{error}") from None


def check_place():
    """Refuse a checkout that cannot be written to."""
    if faults := write_faults("."):
        refuse(InputError(faults))


def check_this_node():
    """On the node of a job: the files, the clock and the software of the login node."""
    try:
        check_node("results")
    except InputError as error:
        refuse(error)


def take_lock():
    """Refuse to run beside another live run on the same results, and note the runs of this call for `status`."""
    try:
        acquire("results/.lock")
    except InputError as error:
        raise WorkflowError(str(error)) from None
    note_call(list(RUNS.by_name))


def whole_number(resources, name):
    """A resource that is a number; None if it is missing or not known yet."""
    value = resources.get(name)
    return value if isinstance(value, int) else None


def cluster_requests():
    """The resource requests of the jobs that will run, at their first attempt; equal requests once."""
    requests = {}
    for job in workflow.dag.needrun_jobs():
        if not job.is_local:
            wanted = job.resources
            gres = wanted.get("gres") or ""
            request = ResourceRequest(
                job.rule.name,
                wanted.get("slurm_partition"),
                nodes=whole_number(wanted, "nodes") or 1,
                gpus=whole_number(wanted, "gpu") or count_gpus(gres),
                cpus=whole_number(wanted, "cpus_per_task"),
                memory_mb=whole_number(wanted, "mem_mb"),
                minutes=whole_number(wanted, "runtime"),
                gpu_types=gpu_types(gres),
                processes=RUN.train.processes if job.rule.name == "train_model" else 0,
            )
            requests[request] = request
    return list(requests)


def check_one_machine():
    """Refuse a training on several nodes outside Slurm, before hours of the stages ahead of it."""
    trains = any(job.rule.name == "train_model" for job in workflow.dag.needrun_jobs())
    if trains and RUN.train.nodes > 1 and "SLURM_JOB_ID" not in os.environ:
        refuse(
            InputError(
                f"config: train.nodes is {RUN.train.nodes}, and this is one machine; run with --profile slurm, or set it to 1"
            )
        )


def prepare_cluster():
    """Before the first job: refuse what would fail after hours; cancel queued jobs of a killed snakemake."""
    if workflow.local_exec:
        if not workflow.touch:
            check_one_machine()
        return
    try:
        check_cluster(cluster_requests())
        wait_for_controller(bin_folder=ROOT / "slurm/bin")
        announce("results")
    except InputError as error:
        refuse(error)
    if left := cancel_left_over_jobs("."):
        print(
            f"slurm: cancelled jobs of an earlier run that was killed: {', '.join(left)}",
            file=sys.stderr,
        )


def print_effects():
    """Print the effect of each change on the scores."""
    from f2llm.evaluate.ablation import (
        effect_lines,
        read_effects,
    )  # not heavy, but for the end alone

    print(f"\n{effect_lines(read_effects(EFFECTS), run=RUN.run)}")
    print(f"page        {Path(EFFECTS).with_name('index.html')}")


def print_closing_lines():
    """Print what was skipped, where model, scoreboard and report are, if the run is complete, and effects that are new."""
    if lines := end_lines("results", run=RUN.run, names={*STANZAS, *TASKS}):
        print(lines)
    if CHANGED and Path(EFFECTS).is_file() and Path(EFFECTS).stat().st_mtime > BEGAN:
        print_effects()


def print_failures():
    """Print the failures once more at the end: on a cluster and in a long run the first message is easily missed."""
    if lines := failure_end_lines(BEGAN, names={*STANZAS, *TASKS}):
        print(f"\nwhat failed, once more:\n{lines}", file=sys.stderr)
