"""Rule `curate_source`: normalised tables of one source -> its training split without copies and evaluation texts."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.curate import Curate
from f2llm.curate.source import Outputs, Scope, curate_source
from f2llm.jobs.job import job
from f2llm.records.schemas.sources import SourceTables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    out = snakemake.output
    counts.update(
        curate_source(
            SourceTables(corpus=snakemake.input.corpus, queries=snakemake.input.queries),
            Outputs(out.corpus, out.queries, out.removed, out.near, out.hits),
            evaluation_texts=snakemake.input.evaluation_texts,
            earlier=dict(zip(snakemake.params.earlier, snakemake.input.earlier, strict=True)),
            held_out=dict(zip(snakemake.params.scored, snakemake.input.held_out, strict=True)),
            in_part=snakemake.params.in_part,
            source=Scope(**snakemake.params.scope),
            settings=build(Curate, snakemake.params.settings),
            seed=snakemake.params.seed,
            threads=snakemake.threads,
        )
    )
