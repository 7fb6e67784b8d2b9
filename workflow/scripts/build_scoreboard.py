"""Rule `build_scoreboard`: results of all models and tasks -> the scoreboard and its summary."""

from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.evaluate.jobs import Candidate
from f2llm.evaluate.scoreboard import Decontamination, build_scoreboard
from f2llm.provenance import job
from f2llm.records.files import read_json

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    index = read_json(Path(snakemake.input.index, "index.json"))
    counts.update(
        build_scoreboard(
            [build(Candidate, candidate) for candidate in snakemake.params.candidates],
            [build(Task, task) for task in snakemake.params.tasks],
            trained=snakemake.params.trained,
            declared=snakemake.params.declared,
            decontamination=Decontamination(**snakemake.params.decontamination, missing=index["missing"]),
            scores=snakemake.input.scores,
            table=snakemake.output.table,
            summary=snakemake.output.summary,
        )
    )
