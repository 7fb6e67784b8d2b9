"""Rule `write_cards`: a scored run -> model card, data card, Croissant file and an estimate of its energy."""

from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.config.run import Energy
from f2llm.jobs.job import job
from f2llm.publish.cards import write_cards
from f2llm.runs.layout import source_as_shown

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        write_cards(
            "results",
            run=snakemake.params.run,
            tasks=[build(Task, task) for task in snakemake.params.tasks],
            heldout=[source_as_shown(source) for source in snakemake.params.heldout],
            jobs=list(snakemake.input.jobs),
            energy=build(Energy, snakemake.params.energy),
            folder=Path(snakemake.output.model_card).parent,
        )
    )
