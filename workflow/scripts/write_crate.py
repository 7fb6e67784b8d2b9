"""Rule `write_crate`: the manifests of a run's jobs, its cards and the workflow -> a Workflow Run RO-Crate."""

from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.jobs.job import job
from f2llm.publish.crate import write_crate

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        write_crate(
            "results",
            run=snakemake.params.run,
            jobs=list(snakemake.input.jobs),
            cards=Path(snakemake.input.cards[0]).parent,
            folder=snakemake.output.crate,
        )
    )
