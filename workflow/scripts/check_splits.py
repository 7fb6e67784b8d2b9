"""Rule `check_splits`: all sources -> counts, or a failure where a group or a query is in two splits."""

from typing import TYPE_CHECKING

from f2llm.curate.splits import check_splits
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        check_splits(
            queries=dict(zip(snakemake.params.sources, snakemake.input.queries, strict=True)),
            curated=dict(zip(snakemake.params.trained, snakemake.input.curated, strict=True)),
            scored=snakemake.params.scored,
            in_part=snakemake.params.in_part,
            output=snakemake.output.counts,
            memory_mb=snakemake.params.memory_mb,
        )
    )
