"""Inputs and parameters of the jobs that curate."""

from f2llm.rows.files import local_files

SCORED = sorted({TASKS[task].source for task in TASKS_OF["drawn"]})
SPLITS_OF = {
    source: {task.split for task in TASKS.values() if task.source == source}
    for source in SCORED
}
# The scored sources whose train split is not scored. This follows from the benchmark, so that a run without one of its
# sources shares the curated tables of the others. (f2llm/config/faults.py refuses to score a trained source whole.)
SCORED_IN_PART = [
    source
    for source in SCORED
    if source in TRAINED or not {"all", "train"} & SPLITS_OF[source]
]
# Sources whose texts are compared with those of the others.
SHARED_AMONG = [
    source.name
    for source in RUN.sources
    if RUN.curation_of(source).across.policy != "off"
]
CLEAN = RUN.curate.decontaminate


def curation_scope(wildcards):
    """The part of a stanza that decides the curated tables."""
    source = STANZAS[wildcards.source]
    return {
        "name": source.name,
        "task": source.shape,
        "max_queries": source.max_queries,
        "max_passages": source.max_passages,
    }


def curation_settings(wildcards):
    """The policies and thresholds of one source: the run's, unless its stanza has its own."""
    return plain(RUNS.of(wildcards).curation_of(STANZAS[wildcards.source]))


def earlier_sources(wildcards):
    """The sources whose queries this one must not repeat: those of the same shape before it in the config."""
    run, source = RUNS.of(wildcards), STANZAS[wildcards.source]
    if run.curation_of(source).across.policy != "drop":
        return []
    earlier = run.sources[: [other.name for other in run.sources].index(source.name)]
    return [other.name for other in earlier if other.shape == source.shape]


def earlier_query_files(wildcards):
    """The curated queries of the sources of `earlier_sources`."""
    return [
        f"results/curated/{wildcards.curation}/{name}/queries.parquet"
        for name in earlier_sources(wildcards)
    ]


def missing_texts_policy(wildcards):
    """The policy for tasks without test data; they are allowed if no run matches anything against evaluation texts."""
    runs = [
        run
        for name, run in RUNS.by_name.items()
        if RUNS.keys[name]["evaluation_texts"] == wildcards.evaluation_texts
    ]
    matched = any(
        run.audit or run.curation_of(source).decontaminate.policy != "off"
        for run in runs
        for source in run.sources
    )
    return runs[0].curate.decontaminate.missing if matched else "allow"


def audit_path(wildcards):
    """The folder of an audit."""
    return RUN.audit[wildcards.audit].path


def audited_files(wildcards):
    """Files of an audited folder, as inputs; the script reports a missing folder."""
    return dateless(local_files(audit_path(wildcards)))


def audited_content(wildcards):
    """The content of the files of an audited folder, so that an edit is seen."""
    return content_of(*local_files(audit_path(wildcards)))


def more_texts(wildcards):
    """Files of more evaluation texts, as inputs."""
    return dateless(RUNS.of(wildcards).curate.decontaminate.texts)


def more_texts_content(wildcards):
    """The content of the files of more evaluation texts, so that an edit is seen."""
    return content_of(*RUNS.of(wildcards).curate.decontaminate.texts)


def audit_fields(wildcards):
    """The columns that an audit reads."""
    return list(RUN.audit[wildcards.audit].fields)


def audit_policy(wildcards):
    """What an audit does about files that it cannot read."""
    return RUN.audit[wildcards.audit].on_unreadable
