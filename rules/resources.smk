"""What jobs take and where they run: devices of this machine, or the partitions of a Slurm cluster."""

import functools
import os

from f2llm.jobs.slurm import Asked, cancel_left_over_jobs, check_cluster, count_gpus, gpu_types, wait_for_controller
from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.rates import GPU_TFLOPS
from f2llm.estimate.sizing import Sizes
from f2llm.jobs.devices import visible_devices
from f2llm.jobs.node import announce, check_node, write_faults

# Locally one job a device at a time; on a cluster the scheduler deals them out (gres).
DEVICES = len(visible_devices())
USES_DEVICE = {"device_slots": int(DEVICES > 0 and RUN.mine.device != "cpu")}
# Scoring takes a device wherever there is one, whatever mining is told.
SCORES_ON_DEVICE = {"device_slots": int(DEVICES > 0)}
TRAINING_DEVICES = RUN.train.processes if DEVICES else 0

# Which executor runs is known at the start only; with one for a cluster, `jobs` is set.
ON_THIS_MACHINE = workflow.is_main_process and workflow.resource_settings.nodes is None
if ON_THIS_MACHINE and DEVICES and "device_slots" not in workflow.global_resources:
    workflow.register_resource("device_slots", DEVICES)


def refuse(error):
    """Say what is wrong without a traceback."""
    raise WorkflowError(f"this run cannot work as it is:\n{error}") from None


def check_this_node():
    """On the node of a job: the files, the clock and the software of the login node."""
    try:
        check_node("results")
    except InputError as error:
        refuse(error)


def asked_of_cluster():
    """What each job that is to run asks for at its first attempt, each kind of demand once."""
    asked = {}
    for each in workflow.dag.needrun_jobs():
        if not each.is_local:
            wanted = each.resources
            gres = wanted.get("gres") or ""
            one = Asked(
                each.rule.name,
                wanted.get("slurm_partition"),
                nodes=number(wanted, "nodes") or 1,
                gpus=number(wanted, "gpu") or count_gpus(gres),
                cpus=number(wanted, "cpus_per_task"),
                memory_mb=number(wanted, "mem_mb"),
                minutes=number(wanted, "runtime"),
                gpu_types=gpu_types(gres),
                processes=(
                    RUN.train.processes if each.rule.name == "train_model" else 0
                ),
            )
            asked[one] = one
    return list(asked)


def number(resources, name):
    """A resource that is a number; None where it is not there or not known yet."""
    value = resources.get(name)
    return value if isinstance(value, int) else None


def check_place():
    """Refuse a checkout that cannot be written to."""
    if faults := write_faults("."):
        refuse(InputError(faults))


def check_one_machine():
    """Refuse a training of several nodes before the stages ahead of it, where nothing starts it on these."""
    trains = any(job.rule.name == "train_model" for job in workflow.dag.needrun_jobs())
    if trains and RUN.train.nodes > 1 and "SLURM_JOB_ID" not in os.environ:
        refuse(
            InputError(
                f"config: train.nodes is {RUN.train.nodes}, and this is one machine; run with --profile slurm, or set it to 1"
            )
        )


def prepare_cluster():
    """Before the first job: refuse what would fail after hours, and cancel what a killed snakemake left in the queue."""
    if workflow.local_exec:
        if not workflow.touch:
            check_one_machine()
        return
    try:
        check_cluster(asked_of_cluster())
        wait_for_controller(bin_folder=Path(workflow.basedir) / "slurm/bin")
        announce("results")
    except InputError as error:
        refuse(error)
    if left := cancel_left_over_jobs("."):
        print(
            f"slurm: cancelled jobs of an earlier run that was killed: {', '.join(left)}",
            file=sys.stderr,
        )


def sizes(wildcards, rulename):
    """What a job is asked for, from measured curves and the rows of its tables as they are when it is submitted."""
    run = run_of(wildcards)
    on_gpu = asks_gpu(rulename) and (
        rulename == "train_model" or run.mine.device != "cpu"
    )
    return sizes_of(run.run, on_gpu=on_gpu).request(rulename, dict(wildcards.items()))


@functools.cache
def sizes_of(run, on_gpu):
    """The same of all jobs of a run, on CPUs or on the site's GPUs."""
    return Sizes(ExpectedRows(RUNS[run]), gpu_tflops=GPU_TFLOPS if on_gpu else None)


@functools.cache
def asks_gpu(rulename):
    """Whether the site's profile gives the jobs of a rule GPUs."""
    stated = workflow.get_rule(rulename).resources
    gres = stated["gres"].raw if "gres" in stated else ""
    return "gpu" in stated or count_gpus(str(gres)) > 0


def memory_mb(wildcards, attempt, rulename):
    """Memory of a job, more at each attempt."""
    return sizes(wildcards, rulename).memory_mb * attempt


def minutes(wildcards, attempt, rulename):
    """Time limit of a job, likewise."""
    return sizes(wildcards, rulename).minutes * attempt


def cpus(wildcards, rulename):
    """CPUs of a job on a cluster; on this machine `threads` counts, which --cores bounds."""
    return sizes(wildcards, rulename).cpus


def growing(base):
    """A resource that is the same for all jobs, or a function of the job, more at each attempt."""
    return functools.partial(grown, base=base)


def grown(wildcards, attempt, base):
    """The same as a function that snakemake calls for each job."""
    return (base(wildcards) if callable(base) else base) * attempt


def training_resources():
    """What training takes: CPUs a node, and for several nodes the one shape that Slurm's plugin gets right."""
    train = RUN.train
    asked = {
        "mem_mb": memory_mb,
        "runtime": minutes,
        "cpus_per_task": train.threads * train.processes,
        "device_slots": TRAINING_DEVICES,
    }
    if train.nodes > 1:
        # mpi: the job runs in the batch script and calls srun itself; tasks_per_gpu: keeps `tasks` what it says.
        asked |= {
            "nodes": train.nodes,
            "tasks": train.nodes,
            "tasks_per_gpu": 0,
            "mpi": "srun",
        }
    return asked
