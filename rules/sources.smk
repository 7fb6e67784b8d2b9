"""Fetch and normalise the sources; make the models plain folders."""


rule fetch:
    input:
        expand(
            "results/sources/{source}/{table}.parquet",
            source=sorted(ALL_SOURCES),
            table=("corpus", "queries", "origins"),
        ),
        expand("results/models/{model}/model", model=sorted(ALL_MODELS)),


rule probe:
    input:
        "results/probe.json",


rule probe_sources:
    output:
        probe="results/probe.json",
        lineage="results/lineage/jobs/probe_sources.json",
    log:
        "logs/probe_sources.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(60),
    params:
        parts=probed_parts(),
        code=code_digest("probe_sources.py"),
    script:
        "../workflow/scripts/probe_sources.py"


rule bundle:
    input:
        "results/bundle",


rule pack_bundle:
    input:
        expand("results/sources/{source}/manifest.json", source=sorted(STANZAS)),
        expand("results/models/{model}/manifest.json", model=sorted(ALL_MODELS)),
        expand("results/benchmarks/{task}/manifest.json", task=TASKS_OF["mteb"]),
    output:
        bundle=directory("results/bundle"),
        lineage="results/lineage/jobs/pack_bundle.json",
    log:
        "logs/pack_bundle.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(120),
    params:
        packed=bundle_entries(),
        config=dict(config),
        stanzas=stanza_files(),
        root=config.get("stanzas", "config"),
        content=bundled_content,
        code=code_digest("pack_bundle.py"),
    script:
        "../workflow/scripts/pack_bundle.py"


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
        mem_mb=growing(500),
        runtime=growing(240),
    params:
        stanza=fetch_stanza,
        content=source_content,
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
        mem_mb=memory_mb,
        runtime=minutes,
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
        mem_mb=growing(model_memory_mb),
        runtime=growing(60),
    params:
        stanza=model_stanza,
        content=model_content,
        code=code_digest("prepare_model.py"),
    script:
        "../workflow/scripts/prepare_model.py"
