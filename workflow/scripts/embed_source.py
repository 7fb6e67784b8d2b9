"""Rule `embed_source`: curated texts of one source -> their vectors in the store, and a manifest of them."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.mine import EncodingModel, MinedSource
from f2llm.jobs.job import job
from f2llm.mine.embed import Retriever, embed_source

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
            on_source_error=settings.on_source_error,
        )
    )
