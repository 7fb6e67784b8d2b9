"""Rule `build_local_task`: a user's files -> the rows of one evaluation task."""

from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.evaluate.tasks.local import build_local_task
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    task = build(Task, snakemake.params.stanza)
    counts.update(build_local_task(task, folder=snakemake.output.data, texts=snakemake.output.texts))
