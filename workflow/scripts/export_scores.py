"""Rule `export_scores`: scores -> the format of the public results repository, and a model card with scores."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.candidates import Candidate
from f2llm.evaluate.build_scoreboard import Board
from f2llm.evaluate.submission import export_scores
from f2llm.jobs.job import job
from f2llm.publish.cards import write_submission_card

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    board = build(Board, snakemake.params.board)
    counts.update(
        export_scores(
            [build(Candidate, candidate) for candidate in snakemake.params.candidates],
            board.tasks,
            scores="results/scores",
            datasets=board.datasets,
            costs=snakemake.input.costs,
            folder=snakemake.output.folder,
            scratch="results/.cache",
        )
    )
    write_submission_card(
        snakemake.input.summary, tasks=board.tasks, model=snakemake.input.model, folder=snakemake.output.folder
    )
