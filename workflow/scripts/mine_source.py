"""Rules `mine_source`, `mine_part`: curated tables and vectors of a source -> its tuples, or those of a share of it."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.encoding import MinedSource
from f2llm.config.mine import Mine
from f2llm.jobs.job import job, job_threads
from f2llm.mine.outcome import TuplePaths
from f2llm.mine.source import MiningTables, mine_source
from f2llm.records.tables import share_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    files, params = snakemake.input, snakemake.params
    counts.update(
        mine_source(
            MiningTables(files.corpus, files.queries, files.near, files.vectors),
            TuplePaths(snakemake.output.tuples, snakemake.output.rejected),
            source=build(MinedSource, params.stanza),
            rule=build(Mine, params.settings),
            seed=params.seed,
            threads=job_threads(snakemake),
            on_source_error=params.on_source_error,
            share=share_of(snakemake.wildcards),
            parts=list(map(TuplePaths, files.get("tuples", ()), files.get("rejected", ()))),
        )
    )
