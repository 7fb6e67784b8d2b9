"""Rules `embed_source`, `embed_part`: curated texts of a source, or a share of them -> their vectors, a manifest."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.encoding import EncodingModel, MinedSource
from f2llm.jobs.job import job
from f2llm.mine.embed import Retriever, embed_source
from f2llm.records.tables import share_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    given, settings = snakemake.input, snakemake.params
    model = build(EncodingModel, settings.retriever)
    counts.update(
        embed_source(
            corpus=given.corpus,
            queries=given.queries,
            source=build(MinedSource, settings.stanza),
            retriever=Retriever(given.model, model, settings.max_length, settings.device),
            store=settings.store,
            manifest=snakemake.output.manifest,
            threads=snakemake.threads,
            share=share_of(snakemake.wildcards),
            on_source_error=settings.on_source_error,
        )
    )
