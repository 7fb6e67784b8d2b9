"""Rule `pack_bundle`: fetched files, stanzas and lock file of a run -> one folder for a machine without network."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.jobs.job import job
from f2llm.sources.bundle import BundleEntry, make_bundle

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        make_bundle(
            [build(BundleEntry, entry) for entry in snakemake.params.packed],
            config=snakemake.params.config,
            stanzas=snakemake.params.stanzas,
            root=snakemake.params.root,
            folder=snakemake.output.bundle,
        )
    )
