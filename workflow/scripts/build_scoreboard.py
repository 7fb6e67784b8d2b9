"""Rule `build_scoreboard`: results of all models and tasks -> the scoreboard and its summary."""

from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.evaluate.jobs import Candidate
from f2llm.evaluate.scoreboard import build_scoreboard
from f2llm.provenance import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        build_scoreboard(
            [build(Candidate, candidate) for candidate in snakemake.params.candidates],
            [build(Task, task) for task in snakemake.params.tasks],
            trained=snakemake.params.trained,
            scores=snakemake.input.scores,
            table=snakemake.output.table,
            summary=snakemake.output.summary,
        )
    )
