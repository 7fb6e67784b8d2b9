"""Curate: remove exact and near copies, evaluation texts and copies of held-out queries from every trained source."""


rule index_texts:
    input:
        texts=expand("results/benchmarks/{task}/texts.parquet", task=TASKS),
        extra=more_texts,
    output:
        index=directory("results/evaluation_texts/{evaluation_texts}"),
        lineage="results/lineage/jobs/index_texts/{evaluation_texts}.json",
    log:
        "logs/index_texts/{evaluation_texts}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(RUN.curate.memory_mb + 1000),
        runtime=growing(60),
    params:
        tasks=list(TASKS),
        content=more_texts_content,
        query_like=RUNS.setting("curate.decontaminate.query_like"),
        missing=missing_texts_policy,
        memory_mb=RUN.curate.memory_mb,
        code=code_digest("index_texts.py"),
    script:
        "../workflow/scripts/index_texts.py"


rule curate_source:
    input:
        corpus="results/sources/{source}/corpus.parquet",
        queries="results/sources/{source}/queries.parquet",
        evaluation_texts=RUNS.upstream("results/evaluation_texts/{evaluation_texts}"),
        held_out=expand("results/sources/{scored}/queries.parquet", scored=SCORED),
        earlier=earlier_query_files,
    output:
        corpus="results/curated/{curation}/{source}/corpus.parquet",
        queries="results/curated/{curation}/{source}/queries.parquet",
        removed="results/curated/{curation}/{source}/removed.parquet",
        near="results/curated/{curation}/{source}/near.parquet",
        hits="results/curated/{curation}/{source}/hits.parquet",
        lineage="results/lineage/jobs/curate_source/{curation}/{source}.json",
    log:
        "logs/curate_source/{curation}/{source}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        scope=curation_scope,
        settings=curation_settings,
        earlier=earlier_sources,
        seed=RUNS.setting("seed"),
        scored=SCORED,
        in_part=SCORED_IN_PART,
        code=code_digest("curate_source.py"),
    script:
        "../workflow/scripts/curate_source.py"


rule check_splits:
    input:
        queries=expand("results/sources/{source}/queries.parquet", source=SOURCES),
        curated=expand(
            f"results/curated/{CURATION}/{{source}}/queries.parquet", source=TRAINED
        ),
    output:
        counts=f"results/curated/{CURATION}/splits.json",
        lineage=f"results/lineage/jobs/check_splits/{CURATION}.json",
    log:
        f"logs/check_splits/{CURATION}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        sources=list(SOURCES),
        scored=SCORED,
        in_part=SCORED_IN_PART,
        trained=TRAINED,
        memory_mb=RUN.curate.memory_mb,
        code=code_digest("check_splits.py"),
    script:
        "../workflow/scripts/check_splits.py"


rule find_shared:
    input:
        corpus=expand(
            f"results/curated/{CURATION}/{{source}}/corpus.parquet",
            source=SHARED_AMONG,
        ),
        queries=expand(
            f"results/curated/{CURATION}/{{source}}/queries.parquet",
            source=SHARED_AMONG,
        ),
    output:
        table=f"results/shared/{CURATION}/shared.parquet",
        summary=f"results/shared/{CURATION}/shared.json",
        lineage=f"results/lineage/jobs/find_shared/{CURATION}.json",
    log:
        f"logs/find_shared/{CURATION}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        sources=SHARED_AMONG,
        memory_mb=RUN.curate.memory_mb,
        code=code_digest("find_shared.py"),
    script:
        "../workflow/scripts/find_shared.py"


rule audit_folder:
    input:
        index=f"results/evaluation_texts/{EVALUATION_TEXTS}",
        files=audited_files,
    output:
        hits=f"results/audits/{EVALUATION_TEXTS}/{{audit}}/hits.parquet",
        summary=f"results/audits/{EVALUATION_TEXTS}/{{audit}}/summary.json",
        lineage=f"results/lineage/jobs/audit_folder/{EVALUATION_TEXTS}/{{audit}}.json",
    log:
        f"logs/audit_folder/{EVALUATION_TEXTS}/{{audit}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(RUN.curate.memory_mb + 1000),
        runtime=growing(60),
    params:
        path=audit_path,
        fields=audit_fields,
        content=audited_content,
        on_unreadable=audit_policy,
        thresholds={
            "containment": CLEAN.containment,
            "min_words": CLEAN.min_words,
        },
        code=code_digest("audit_folder.py"),
    script:
        "../workflow/scripts/audit_folder.py"


rule curate:
    input:
        expand(f"results/curated/{CURATION}/{{source}}/corpus.parquet", source=TRAINED),
        f"results/curated/{CURATION}/splits.json",
        f"results/shared/{CURATION}/shared.json",


rule audit:
    input:
        expand(
            f"results/audits/{EVALUATION_TEXTS}/{{audit}}/summary.json",
            audit=sorted(RUN.audit),
        ),
