"""Rule `build_report`: tables and manifests of a run -> its report, one page of HTML."""

from typing import TYPE_CHECKING

from f2llm.jobs.job import job
from f2llm.report.report import build_report
from f2llm.runs.layout import source_as_shown

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        build_report(
            "results",
            run=snakemake.params.run,
            heldout=[source_as_shown(source) for source in snakemake.params.heldout],
            jobs=list(snakemake.input.jobs),
            output=snakemake.output.page,
        )
    )
