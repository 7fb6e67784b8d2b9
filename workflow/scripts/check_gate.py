"""Rule `check_gate`: the summary of the scoreboard -> a verdict, or a failure that says what is missing."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.evaluate import Gate
from f2llm.evaluate.gate import check_gate
from f2llm.jobs.job import job
from f2llm.runs.skipped import skipped_of

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        check_gate(
            snakemake.input.summary,
            gate=build(Gate, snakemake.params.gate),
            skipped=skipped_of("results", run=snakemake.params.run, heldout=snakemake.params.heldout),
            output=snakemake.output.gate,
        )
    )
