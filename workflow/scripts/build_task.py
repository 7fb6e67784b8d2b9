"""Rule `build_task`: normalised tables of one source -> the rows of one evaluation task."""

from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.evaluate.tasks.drawn import build_task
from f2llm.jobs.job import job
from f2llm.records.schemas.sources import SourceTables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        build_task(
            build(Task, snakemake.params.stanza),
            SourceTables(corpus=snakemake.input.corpus, queries=snakemake.input.queries),
            folder=snakemake.output.data,
            texts=snakemake.output.texts,
        )
    )
