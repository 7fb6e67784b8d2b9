"""Rule `probe_sources`: the places of sources, models and tasks -> what was seen there, or all faults at once."""

from typing import TYPE_CHECKING

from f2llm.config.build import build
from f2llm.jobs.job import job
from f2llm.records.errors import InputError
from f2llm.sources.probe.part import Probed
from f2llm.sources.probe.probe import probe_all

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as counts:
    probe = probe_all([build(Probed, part) for part in snakemake.params.parts], results="results")
    if probe.faults:
        raise InputError(probe.faults)
    counts.update(probed=len(probe.records), missing_bytes=probe.missing_bytes)
