"""Resources of the training."""

TRAINING_DEVICES = RUN.train.processes if DEVICES else 0


def training_resources():
    """Resources of the job, by node; for several nodes in the one form that Snakemake's Slurm plugin handles right."""
    train = RUN.train
    resources = {
        "mem_mb": memory_mb,
        "runtime": minutes,
        "cpus_per_task": train.threads * train.processes,
        "device_slots": TRAINING_DEVICES,
    }
    if train.nodes > 1:
        # mpi: the job runs in the batch script and calls srun itself; tasks_per_gpu: keeps `tasks` as it is set.
        resources |= {
            "nodes": train.nodes,
            "tasks": train.nodes,
            "tasks_per_gpu": 0,
            "mpi": "srun",
        }
    return resources
