"""Mine: texts of every trained source to vectors, vectors to tuples with hard negatives.

Large sources are encoded and searched by several jobs, each on a share of the rows.
"""


rule embed_part:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        model=f"results/models/{RUN.retriever.name}/model",
    output:
        manifest=temp(
            f"results/vectors/{ENCODER}/{CURATION}/{{source}}-{{part}}-of-{{parts}}.json"
        ),
        lineage=f"results/lineage/jobs/embed_part/{ENCODER}/{CURATION}/{{source}}-{{part}}-of-{{parts}}.json",
    log:
        f"logs/embed_part/{ENCODER}/{CURATION}/{{source}}-{{part}}-of-{{parts}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        **USES_DEVICE,
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        stanza=source_stanza,
        retriever=plain(RUN.retriever),
        max_length=RUN.mine.max_length,
        device=RUN.mine.device,
        store=f"results/vectors/store/{ENCODER}",
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_part.py"),
    script:
        "../workflow/scripts/embed_part.py"


rule embed_source:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        model=f"results/models/{RUN.retriever.name}/model",
        parts=embedded_parts,
    output:
        manifest=f"results/vectors/{ENCODER}/{CURATION}/{{source}}.json",
        lineage=f"results/lineage/jobs/embed_source/{ENCODER}/{CURATION}/{{source}}.json",
    log:
        f"logs/embed_source/{ENCODER}/{CURATION}/{{source}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        **USES_DEVICE,
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        stanza=source_stanza,
        retriever=plain(RUN.retriever),
        max_length=RUN.mine.max_length,
        device=RUN.mine.device,
        # Vectors by content, shared by all runs: no declared output, safe to delete.
        store=f"results/vectors/store/{ENCODER}",
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_source.py"),
    script:
        "../workflow/scripts/embed_source.py"


rule mine_part:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        near=f"results/curated/{CURATION}/{{source}}/near.parquet",
        vectors=f"results/vectors/{ENCODER}/{CURATION}/{{source}}.json",
    output:
        tuples=temp(
            f"results/mined/{MINING}/{{source}}/part-{{part}}-of-{{parts}}/tuples.parquet"
        ),
        rejected=temp(
            f"results/mined/{MINING}/{{source}}/part-{{part}}-of-{{parts}}/rejected.parquet"
        ),
        lineage=f"results/lineage/jobs/mine_part/{MINING}/{{source}}-{{part}}-of-{{parts}}.json",
    log:
        f"logs/mine_part/{MINING}/{{source}}-{{part}}-of-{{parts}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        **USES_DEVICE,
        mem_mb=memory_mb,
        runtime=minutes,
        cpus_per_task=cpus,
    params:
        stanza=source_stanza,
        settings=plain(RUN.mine),
        seed=RUN.seed,
        on_source_error=RUN.on_source_error,
        code=code_digest("mine_part.py"),
    script:
        "../workflow/scripts/mine_part.py"


rule mine_source:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        near=f"results/curated/{CURATION}/{{source}}/near.parquet",
        vectors=f"results/vectors/{ENCODER}/{CURATION}/{{source}}.json",
        tuples=mined_tuples,
        rejected=mined_rejected,
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
        **USES_DEVICE,
        mem_mb=memory_mb,
        runtime=minutes,
        cpus_per_task=cpus,
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
