"""Rule `build_report`: tables and manifests of a run -> one page for a person."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.sources import Source
from f2llm.jobs.job import job
from f2llm.report.report import build_report

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        build_report(
            "results",
            run=snakemake.params.run,
            heldout=[build(Source, source) for source in snakemake.params.heldout],
            jobs=list(snakemake.input.jobs),
            output=snakemake.output.page,
        )
    )
