"""Rule `prepare_model`: a pinned model -> a plain folder of safetensors, config and tokenizer."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.config.fetch import FetchedModel
from f2llm.jobs.job import job
from f2llm.sources.models import prepare_model

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    model = build(FetchedModel, snakemake.params.stanza)
    counts.update(prepare_model(model, folder=snakemake.output.model, manifest=snakemake.output.manifest))
