"""Rule `plan_run`: the tuples and token rows of all sources -> the plan of every step, and run.json."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.jobs.job import job
from f2llm.plan.plan import plan_run
from f2llm.runs.run_file import Settings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        plan_run(
            tuples=dict(zip(snakemake.params.sources, snakemake.input.tuples, strict=True)),
            tokens=dict(zip(snakemake.params.sources, snakemake.input.tokens, strict=True)),
            backbone_folder=snakemake.params.backbone_folder,
            settings=build(Settings, snakemake.params.settings),
            variants=snakemake.params.variants,
            may_skip=snakemake.params.on_error == "skip",
            plan=snakemake.output.plan,
            validation=snakemake.output.validation,
            run=snakemake.output.run,
        )
    )
