"""Fetch and normalise the sources; make the models plain folders."""

from f2llm.sources.fetch import local_files


def fetch_stanza(wildcards):
    """What of a stanza decides the fetched files: a change of anything else fetches nothing."""
    stanza = source_stanza(wildcards)
    return {key: stanza[key] for key in ("name", "task", "licence", "fetch")}


def reading_stanza(wildcards):
    """What of a stanza decides the tables of the source."""
    stanza = source_stanza(wildcards)
    return {key: stanza[key] for key in ("name", "task", "adapter", "options")}


def reading_code(wildcards):
    """The code of the rule and of this source's adapter, not of the others."""
    adapter = SOURCES[wildcards.source].adapter
    return code_digest("normalise_source.py", f"f2llm/sources/adapters/{adapter}.py")


def source_files(wildcards):
    """Local files of a source, so that an edit is seen; a missing one is the script's to report."""
    stanza = SOURCES[wildcards.source]
    return [
        file for fetch in stanza.fetch if fetch.path for file in local_files(fetch.path)
    ]


def model_files(wildcards):
    """Local files of a model."""
    path = MODELS[wildcards.model].fetch.path
    return local_files(path) if path else []


rule fetch:
    input:
        expand(
            "results/sources/{source}/{table}.parquet",
            source=sorted(SOURCES),
            table=("corpus", "queries", "origins"),
        ),
        expand("results/models/{model}/model", model=sorted(MODELS)),


rule fetch_source:
    input:
        source_files,
    output:
        raw=directory("results/sources/{source}/raw"),
        manifest="results/sources/{source}/manifest.json",
        lineage="results/lineage/jobs/fetch_source/{source}.json",
    log:
        "logs/fetch_source/{source}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=60,
    params:
        stanza=fetch_stanza,
        on_error=RUN.on_source_error,
        code=code_digest("fetch_source.py"),
    script:
        "../workflow/scripts/fetch_source.py"


rule normalise_source:
    input:
        raw="results/sources/{source}/raw",
        manifest="results/sources/{source}/manifest.json",
    output:
        corpus="results/sources/{source}/corpus.parquet",
        queries="results/sources/{source}/queries.parquet",
        origins="results/sources/{source}/origins.parquet",
        lineage="results/lineage/jobs/normalise_source/{source}.json",
    log:
        "logs/normalise_source/{source}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        stanza=reading_stanza,
        on_error=RUN.on_source_error,
        code=reading_code,
    script:
        "../workflow/scripts/normalise_source.py"


rule prepare_model:
    input:
        model_files,
    output:
        model=directory("results/models/{model}/model"),
        manifest="results/models/{model}/manifest.json",
        lineage="results/lineage/jobs/prepare_model/{model}.json",
    log:
        "logs/prepare_model/{model}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        stanza=model_stanza,
        code=code_digest("prepare_model.py"),
    script:
        "../workflow/scripts/prepare_model.py"
