"""Rules `build_scoreboard`, `compare_models`: the results of all models on all tasks -> scoreboard, summary, costs."""

from typing import TYPE_CHECKING

from f2llm.config.ablations import names_of_changed
from f2llm.config.build import build
from f2llm.config.candidates import Candidate
from f2llm.evaluate.build_scoreboard import Board, build_scoreboard
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        build_scoreboard(
            [build(Candidate, candidate) for candidate in snakemake.params.candidates],
            build(Board, snakemake.params.board),
            scores=snakemake.input.scores,
            manifests=snakemake.input.manifests,
            checked=snakemake.input.checked,
            removed=snakemake.input.removed,
            index=snakemake.input.index,
            # No param: a scoreboard that is there stays as it is when changes are asked for after it.
            changed=names_of_changed(snakemake.config),
            table=snakemake.output.table,
            summary=snakemake.output.summary,
            costs=snakemake.output.costs,
        )
    )
