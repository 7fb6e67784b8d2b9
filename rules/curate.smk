"""Curate: exact and near copies, evaluation texts and held-out copies out of every trained source."""

SCORED = sorted({task.source for task in TASKS.values()})
# Only these, so that adding a source that is not scored leaves the others as they are.
SCORED_AND_TRAINED = [source for source in SCORED if source in TRAINED]


rule curate_source:
    input:
        corpus="results/sources/{source}/corpus.parquet",
        queries="results/sources/{source}/queries.parquet",
        texts=expand("results/benchmarks/{task}/texts.parquet", task=TASKS),
        held_out=expand("results/sources/{scored}/queries.parquet", scored=SCORED),
    output:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        removed=f"results/curated/{CURATION}/{{source}}/removed.parquet",
        near=f"results/curated/{CURATION}/{{source}}/near.parquet",
        lineage=f"results/lineage/jobs/curate_source/{CURATION}/{{source}}.json",
    log:
        f"logs/curate_source/{CURATION}/{{source}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.curate.memory_mb + 1000,
        runtime=60,
    params:
        scope=curation_scope,
        settings=plain(RUN.curate),
        seed=RUN.seed,
        scored=SCORED,
        trained=SCORED_AND_TRAINED,
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
        mem_mb=RUN.curate.memory_mb + 1000,
        runtime=30,
    params:
        sources=list(SOURCES),
        scored=SCORED,
        trained=TRAINED,
        memory_mb=RUN.curate.memory_mb,
        code=code_digest("check_splits.py"),
    script:
        "../workflow/scripts/check_splits.py"


rule curate:
    input:
        expand(f"results/curated/{CURATION}/{{source}}/corpus.parquet", source=TRAINED),
        f"results/curated/{CURATION}/splits.json",
