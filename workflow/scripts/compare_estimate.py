"""Rule `compare_estimate`: the estimate and the manifests of all jobs -> expected beside measured figures."""

from typing import TYPE_CHECKING

from f2llm.estimate.compare import compare_estimate
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        compare_estimate(
            estimate=snakemake.input.estimate,
            jobs=list(snakemake.input.jobs),
            results="results",
            run=snakemake.params.run,
            output=snakemake.output.table,
        )
    )
