"""Rule `tokenise_source`: curated texts of one source -> rows of tokens that the trainer maps into memory."""

from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.tokens import PromptedModel, Tokens
from f2llm.jobs.job import job
from f2llm.plan.tokenise import tokenise_source

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    counts.update(
        tokenise_source(
            corpus=snakemake.input.corpus,
            queries=snakemake.input.queries,
            tokenizer_folder=snakemake.input.model,
            folder=Path(snakemake.output.meta).parent,
            source=snakemake.wildcards.source,
            instruction=snakemake.params.instruction,
            backbone=build(PromptedModel, snakemake.params.backbone),
            settings=build(Tokens, snakemake.params.settings),
        )
    )
