"""Rule `check_gate`: the summary of the scoreboard -> a verdict, or a failure that says what is missing."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.evaluate import Gate
from f2llm.evaluate.gate import check_gate
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    gate = build(Gate, snakemake.params.gate)
    counts.update(check_gate(snakemake.input.summary, gate=gate, output=snakemake.output.gate))
