"""Inputs and parameters of the jobs that encode texts and search among them, whole sources or shares of large ones."""

from f2llm.config.build import part
from f2llm.config.encoding import EncodingModel, MinedSource
from f2llm.estimate.job_shares import embed_jobs, mine_jobs

RELEASED = {pair.source: pair.released for pair in RUN.compare}


@functools.cache
def mined_part_of(source):
    """The part of a source's stanza that embedding and mining read."""
    return part(STANZAS[source], MinedSource)


def mined_source(wildcards):
    """The part of a source's stanza that a job of embedding or mining gets."""
    return mined_part_of(wildcards.source)


def part_files(jobs, path):
    """The files of all jobs that share the work on a source; none if one job does all of it."""
    return (
        [path.format(part=part, parts=jobs) for part in range(jobs)] if jobs > 1 else []
    )


def embedded_part_manifests(wildcards):
    """Manifests of the jobs that encode shares of a large source."""
    path = (
        f"results/vectors/{wildcards.encoder}/{wildcards.curation}/{wildcards.source}"
    )
    return part_files(
        embed_jobs(STANZAS[wildcards.source], RUNS.of(wildcards).mine),
        f"{path}-{{part}}-of-{{parts}}.json",
    )


def mined_part_files(wildcards, table):
    """One table of each job that searches for a share of a large source."""
    path = f"results/mined/{wildcards.mining}/{wildcards.source}"
    return part_files(
        mine_jobs(STANZAS[wildcards.source], RUNS.of(wildcards).mine),
        f"{path}/part-{{part}}-of-{{parts}}/{table}.parquet",
    )


def mined_part_tuples(wildcards):
    """The tuples of each job that searches for a share."""
    return mined_part_files(wildcards, "tuples")


def mined_part_rejected(wildcards):
    """The rejected pairs of each job that searches for a share."""
    return mined_part_files(wildcards, "rejected")


def released_table(wildcards, table):
    """A table of the published tuples with which those of a source are compared."""
    return f"results/sources/{RELEASED[wildcards.source].name}/{table}.parquet"


def released_corpus(wildcards):
    """The passages of the published tuples."""
    return released_table(wildcards, "corpus")


def released_queries(wildcards):
    """The queries of the published tuples."""
    return released_table(wildcards, "queries")
