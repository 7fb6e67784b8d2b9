"""Rule `compare_source`: our tuples and published ones of one source -> what both have and what only one."""

from typing import TYPE_CHECKING

from f2llm.jobs.job import job
from f2llm.mine.released import MinedTables, PublishedTables, compare_tuples, shares

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    found = snakemake.input
    counts.update(
        compare_tuples(
            MinedTables(found.tuples, found.corpus, found.queries),
            PublishedTables(found.released_corpus, found.released_queries),
            output=snakemake.output.figures,
        )
    )
    counts["percent"] = shares(counts)
