"""What jobs that curate are told."""

from f2llm.curate.folder import audited_files


def curation_scope(wildcards):
    """What of a stanza decides the curated tables."""
    stanza = source_stanza(wildcards) | {"task": STANZAS[wildcards.source].shape}
    return {key: stanza[key] for key in ("name", "task", "max_queries", "max_passages")}


def curation_settings(wildcards):
    """The policies and thresholds of one source: the run's, but for what its stanza says."""
    return plain(run_of(wildcards).curation_of(STANZAS[wildcards.source]))


def earlier_sources(wildcards):
    """The sources whose queries this one shall not repeat: of the same shape, before it in the config."""
    run, source = run_of(wildcards), STANZAS[wildcards.source]
    if run.curation_of(source).across.policy != "drop":
        return []
    earlier = run.sources[: [other.name for other in run.sources].index(source.name)]
    return [other.name for other in earlier if other.shape == source.shape]


def earlier_queries(wildcards):
    """The curated queries of these sources."""
    return [
        f"results/curated/{wildcards.curation}/{name}/queries.parquet"
        for name in earlier_sources(wildcards)
    ]


def missing_texts(wildcards):
    """Whether tasks without test data stop the runs: not where nothing is matched against them."""
    runs = [
        run
        for name, run in RUNS.items()
        if KEYS[name]["evaluation_texts"] == wildcards.evaluation_texts
    ]
    matched = any(
        run.audit or run.curation_of(source).decontaminate.policy != "off"
        for run in runs
        for source in run.sources
    )
    return runs[0].curate.decontaminate.missing if matched else "allow"


def audited(wildcards):
    """Files of an audited folder, so that an edit is seen; a missing folder is the script's to report."""
    return audited_files(RUN.audit[wildcards.audit].path)


def audit_path(wildcards):
    """The folder of an audit."""
    return RUN.audit[wildcards.audit].path


def audit_fields(wildcards):
    """The columns that are read of it."""
    return list(RUN.audit[wildcards.audit].fields)
