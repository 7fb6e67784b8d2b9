"""Rules `evaluate_*`: a model and some tasks -> mteb's result for each task."""

from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.config.candidates import Candidate
from f2llm.evaluate.batch import evaluate_batch
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        evaluate_batch(
            [build(Candidate, candidate) for candidate in snakemake.params.candidates],
            [build(Task, task) for task in snakemake.params.tasks],
            data=snakemake.input.data,
            scores="results/scores",
            scratch="results/.cache",
            threads=snakemake.threads,
            store=snakemake.params.store,
        )
    )
