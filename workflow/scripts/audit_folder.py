"""Rule `audit_folder`: files of rows -> the texts in them that contain evaluation texts."""

from typing import TYPE_CHECKING

from f2llm.curate.audit import audit_folder
from f2llm.curate.decontaminate import EvaluationTexts
from f2llm.jobs.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    thresholds = snakemake.params.thresholds
    counts.update(
        audit_folder(
            snakemake.params.path,
            fields=snakemake.params.fields,
            on_unreadable=snakemake.params.on_unreadable,
            evaluation=EvaluationTexts(snakemake.input.index, **thresholds),
            hits=snakemake.output.hits,
            summary=snakemake.output.summary,
        )
    )
