"""Rule `embed_source`: curated texts of one source -> their vectors in the store, and a manifest of them."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.models import Model
from f2llm.config.sources import Source
from f2llm.mine.embed import Retriever, embed_source
from f2llm.provenance import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    model = build(Model, snakemake.params.retriever)
    counts.update(
        embed_source(
            corpus=snakemake.input.corpus,
            queries=snakemake.input.queries,
            source=build(Source, snakemake.params.stanza),
            retriever=Retriever(snakemake.input.model, model, max_length=snakemake.params.max_length),
            store=snakemake.params.store,
            manifest=snakemake.output.manifest,
            threads=snakemake.threads,
            on_source_error=snakemake.params.on_source_error,
        )
    )
