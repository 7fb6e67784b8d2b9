"""Rule `estimate_run`: the config -> what each stage is expected to take, before it runs."""

from typing import TYPE_CHECKING

from f2llm.config.load import load_run
from f2llm.config.parts import shown_stanzas
from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.machine import Machine, stages_of
from f2llm.estimate.stages import as_json
from f2llm.jobs.job import job
from f2llm.records.files import write_json

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    run = load_run(snakemake.config, folder=snakemake.params.stanzas, where="config")
    # From the config alone, not from tables in results/: the same before the first job and after the last.
    estimate = stages_of(
        ExpectedRows(run, results=snakemake.params.nowhere), Machine.here("results", tflops=snakemake.params.tflops)
    )
    write_json(snakemake.output.estimate, as_json(estimate) | {"stanzas": shown_stanzas(run)})
    counts.update(stages=len(estimate.stages), unknown=list(estimate.unknown), guessed=list(estimate.guessed))
