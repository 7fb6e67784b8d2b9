"""Rule `index_texts`: the evaluation texts of all tasks -> the index against which curation matches."""

from typing import TYPE_CHECKING

from f2llm.curate.evaluation_texts import index_texts
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        index_texts(
            dict(zip(snakemake.params.tasks, snakemake.input.texts, strict=True)),
            extra=list(snakemake.input.extra),
            folder=snakemake.output.index,
            query_like=snakemake.params.query_like,
            missing=snakemake.params.missing,
            memory_mb=snakemake.params.memory_mb,
        )
    )
