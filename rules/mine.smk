"""Mine: texts of every trained source to vectors, vectors to tuples with hard negatives."""


rule embed_source:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        model=f"results/models/{RUN.retriever.name}/model",
    output:
        manifest=f"results/vectors/{ENCODER}/{CURATION}/{{source}}.json",
        lineage=f"results/lineage/jobs/embed_source/{ENCODER}/{CURATION}/{{source}}.json",
    log:
        f"logs/embed_source/{ENCODER}/{CURATION}/{{source}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        stanza=source_stanza,
        retriever=plain(RUN.retriever),
        max_length=RUN.mine.max_length,
        # Vectors by content, shared by all runs: no declared output, safe to delete.
        store=f"results/vectors/store/{ENCODER}",
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_source.py"),
    script:
        "../workflow/scripts/embed_source.py"


rule mine_source:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        near=f"results/curated/{CURATION}/{{source}}/near.parquet",
        vectors=f"results/vectors/{ENCODER}/{CURATION}/{{source}}.json",
    output:
        tuples=f"results/mined/{MINING}/{{source}}/tuples.parquet",
        rejected=f"results/mined/{MINING}/{{source}}/rejected.parquet",
        lineage=f"results/lineage/jobs/mine_source/{MINING}/{{source}}.json",
    log:
        f"logs/mine_source/{MINING}/{{source}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        stanza=source_stanza,
        settings=plain(RUN.mine),
        seed=RUN.seed,
        on_source_error=RUN.on_source_error,
        code=code_digest("mine_source.py"),
    script:
        "../workflow/scripts/mine_source.py"


rule mine:
    input:
        expand(f"results/mined/{MINING}/{{source}}/tuples.parquet", source=TRAINED),
