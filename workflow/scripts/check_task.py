"""Rule `check_task`: the files of one task of mteb -> the result of their check, and the texts that are scored."""

from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.evaluate.tasks.check import check_task
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        check_task(
            build(Task, snakemake.params.stanza),
            data=snakemake.input.data,
            manifest=snakemake.input.manifest,
            checked=snakemake.output.checked,
            texts=snakemake.output.texts,
            scratch="results/.cache",
        )
    )
