"""Rule `normalise_source`: the files of one source -> its corpus, queries and origins."""

from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.jobs.job import job
from f2llm.sources.normalise import Reading, normalise_source

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        normalise_source(
            build(Reading, snakemake.params.stanza),
            raw=snakemake.input.raw,
            manifest=snakemake.input.manifest,
            folder=Path(snakemake.output.corpus).parent,
            on_error=snakemake.params.on_error,
        )
    )
