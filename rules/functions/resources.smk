"""Resources of jobs: devices of this machine, or memory, time and CPUs on a Slurm cluster."""

from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.rates import GPU_TFLOPS
from f2llm.estimate.sizing import Sizes
from f2llm.jobs.devices import visible_devices
from f2llm.jobs.slurm import count_gpus

# Locally one job a device at a time; on a cluster the scheduler deals them out (gres).
DEVICES = len(visible_devices())
USES_DEVICE = {"device_slots": int(DEVICES > 0 and RUN.mine.device != "cpu")}
# Scoring takes a device if there is one, whatever `mine.device` says.
SCORES_ON_DEVICE = {"device_slots": int(DEVICES > 0)}

# The executor is known only when jobs start; `nodes` is set (by --jobs) for that of a cluster.
ON_THIS_MACHINE = workflow.is_main_process and workflow.resource_settings.nodes is None
if ON_THIS_MACHINE and DEVICES and "device_slots" not in workflow.global_resources:
    workflow.register_resource("device_slots", DEVICES)


@functools.cache
def asks_gpu(rulename):
    """Whether the profile of the cluster gives GPUs to the jobs of a rule."""
    stated = workflow.get_rule(rulename).resources
    gres = stated["gres"].raw if "gres" in stated else ""
    return "gpu" in stated or count_gpus(str(gres)) > 0


@functools.cache
def sizes_of_run(run, on_gpu):
    """Costs of all jobs of a run, on CPUs or on the GPUs of the cluster."""
    return Sizes(
        ExpectedRows(RUNS.by_name[run]), gpu_tflops=GPU_TFLOPS if on_gpu else None
    )


def request_of_job(wildcards, rulename):
    """The resources of a job, from measured curves and the rows of its tables as they are when it is submitted."""
    run = RUNS.of(wildcards)
    on_gpu = asks_gpu(rulename) and (
        rulename == "train_model" or run.mine.device != "cpu"
    )
    return sizes_of_run(run.run, on_gpu=on_gpu).request(
        rulename, dict(wildcards.items())
    )


def memory_mb(wildcards, attempt, rulename):
    """Memory of a job in MB, more at each attempt."""
    return request_of_job(wildcards, rulename).memory_mb * attempt


def minutes(wildcards, attempt, rulename):
    """Time limit of a job, more at each attempt."""
    return request_of_job(wildcards, rulename).minutes * attempt


def cpus(wildcards, rulename):
    """CPUs of a job on a cluster; on this machine `threads` counts, which --cores bounds."""
    return request_of_job(wildcards, rulename).cpus


def growing(base):
    """A resource that grows with each attempt from `base`: a number, or a function of the job."""

    def grown(wildcards, attempt):
        return (base(wildcards) if callable(base) else base) * attempt

    return grown
