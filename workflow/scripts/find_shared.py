"""Rule `find_shared`: curated sources -> the texts that occur in several of them."""

from typing import TYPE_CHECKING

from f2llm.curate.shared import find_shared
from f2llm.jobs.job import job
from f2llm.records.schemas.sources import SourceTables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    tables = map(SourceTables, snakemake.input.corpus, snakemake.input.queries)
    counts.update(
        find_shared(
            dict(zip(snakemake.params.sources, tables, strict=True)),
            table=snakemake.output.table,
            summary=snakemake.output.summary,
            memory_mb=snakemake.params.memory_mb,
        )
    )
