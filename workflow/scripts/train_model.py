"""Rule `train_model`: the plan of a run -> the trained model; the trainer runs under torchrun and resumes by itself."""

from typing import TYPE_CHECKING

from f2llm.jobs.job import job
from f2llm.train.launch import launch_training
from f2llm.train.nodes import Shape

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        launch_training(
            run=snakemake.input.run,
            model=snakemake.output.model,
            metrics=snakemake.output.metrics,
            validation=snakemake.output.validation,
            shape=Shape(
                nodes=snakemake.params.nodes,
                processes=snakemake.params.processes,
                cpus=snakemake.resources.cpus_per_task,
                gres=snakemake.resources.get("gres", ""),
            ),
            threads=snakemake.params.threads,
        )
    )
