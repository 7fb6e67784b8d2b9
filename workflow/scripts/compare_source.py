"""Rule `compare_source`: our tuples of one source and published ones -> how many both have, and how many only one."""

from typing import TYPE_CHECKING

from f2llm.jobs.job import job
from f2llm.mine.released import compare_tuples, shares

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    files = snakemake.input
    counts.update(
        compare_tuples(
            tuples=files.tuples,
            corpus=files.corpus,
            queries=files.queries,
            their_corpus=files.released_corpus,
            their_queries=files.released_queries,
            output=snakemake.output.figures,
        )
    )
    counts["percent"] = shares(counts)
