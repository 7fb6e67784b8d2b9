"""Rule `mine_part`: curated tables and vectors of one source -> the tuples of a share of its queries."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.mine import Mine, MinedSource
from f2llm.jobs.job import job, job_threads
from f2llm.mine.outcome import Paths
from f2llm.mine.source import Tables, mine_part
from f2llm.records.tables import Share

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    given, settings = snakemake.input, snakemake.params
    counts.update(
        mine_part(
            Tables(given.corpus, given.queries, given.near, given.vectors),
            Paths(snakemake.output.tuples, snakemake.output.rejected),
            share=Share(int(snakemake.wildcards.part), int(snakemake.wildcards.parts)),
            source=build(MinedSource, settings.stanza),
            rule=build(Mine, settings.settings),
            seed=settings.seed,
            threads=job_threads(snakemake),
            on_source_error=settings.on_source_error,
        )
    )
