"""Rules `encode_*`: a model and a share of the passages of a large task -> their vectors in the store."""

from typing import TYPE_CHECKING

from f2llm.config.benchmarks import Task
from f2llm.config.build import build
from f2llm.config.candidates import Candidate
from f2llm.evaluate.batch import encode_shard
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        encode_shard(
            [build(Candidate, candidate) for candidate in snakemake.params.candidates],
            build(Task, snakemake.params.tasks[0]),
            texts=snakemake.input.texts,
            shard=(int(snakemake.wildcards.part), int(snakemake.wildcards.parts)),
            threads=snakemake.threads,
            store=snakemake.params.store,
            manifest=snakemake.output.manifest,
        )
    )
