"""Rule `mine_source`: curated tables and vectors of one source -> tuples with hard negatives."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.run import Mine
from f2llm.config.sources import Source
from f2llm.mine.outcome import Paths
from f2llm.mine.source import Tables, mine_source
from f2llm.provenance import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    given = snakemake.input
    counts.update(
        mine_source(
            Tables(corpus=given.corpus, queries=given.queries, near=given.near, vectors=given.vectors),
            Paths(tuples=snakemake.output.tuples, rejected=snakemake.output.rejected),
            source=build(Source, snakemake.params.stanza),
            rule=build(Mine, snakemake.params.settings),
            seed=snakemake.params.seed,
            threads=snakemake.threads,
            on_source_error=snakemake.params.on_source_error,
        )
    )
