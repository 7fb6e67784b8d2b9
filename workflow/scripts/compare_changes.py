"""Rule `compare_changes`: scores of a run and of its changed runs -> the effects of the changes, as table and page."""

from typing import TYPE_CHECKING

from f2llm.evaluate.ablation import write_effects
from f2llm.jobs.job import job
from f2llm.report.comparison import build_ablation

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    rows = write_effects(
        "results/scores",
        run=snakemake.params.run,
        changed=snakemake.params.changed,
        tasks=snakemake.params.tasks,
        table=snakemake.output.table,
    )
    runs = build_ablation(
        "results", run=snakemake.params.run, table=snakemake.output.table, output=snakemake.output.page
    )
    counts.update(rows=rows, runs=runs)
