"""Rules `fetch_source`, `fetch_task`: the pinned files of a source or of a task of mteb -> a folder and a manifest."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.fetch import Order
from f2llm.fetch.fetch import fetch_source
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        fetch_source(
            build(Order, snakemake.params.stanza),
            raw=snakemake.output.raw,
            manifest=snakemake.output.manifest,
            on_error=snakemake.params.on_error,
        )
    )
