"""Rules `embed_source`, `embed_part`: texts of a source, or a share -> their vectors in the store, and a manifest."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.encoding import EncodingModel, MinedSource
from f2llm.jobs.job import job
from f2llm.mine.embed import Retriever, embed_source
from f2llm.records.tables import share_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    files, params = snakemake.input, snakemake.params
    model = build(EncodingModel, params.retriever)
    counts.update(
        embed_source(
            corpus=files.corpus,
            queries=files.queries,
            source=build(MinedSource, params.stanza),
            retriever=Retriever(files.model, model, params.max_length, params.device),
            store=params.store,
            manifest=snakemake.output.manifest,
            threads=snakemake.threads,
            share=share_of(snakemake.wildcards),
            on_source_error=params.on_source_error,
        )
    )
