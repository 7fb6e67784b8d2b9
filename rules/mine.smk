"""Mine: texts of every trained source to vectors, vectors to tuples with hard negatives.

Large sources are encoded and searched by several jobs, each on a share of the rows.
"""


rule embed_part:
    input:
        corpus="results/curated/{curation}/{source}/corpus.parquet",
        queries="results/curated/{curation}/{source}/queries.parquet",
        model=upstream("results/models/{retriever}/model"),
    output:
        manifest=temp(
            "results/vectors/{encoder}/{curation}/{source}-{part}-of-{parts}.json"
        ),
        lineage="results/lineage/jobs/embed_part/{encoder}/{curation}/{source}-{part}-of-{parts}.json",
    log:
        "logs/embed_part/{encoder}/{curation}/{source}-{part}-of-{parts}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        **USES_DEVICE,
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        stanza=source_stanza,
        retriever=setting("retriever"),
        max_length=setting("mine.max_length"),
        device=RUN.mine.device,
        store=upstream("results/vectors/store/{encoder}"),
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_part.py"),
    script:
        "../workflow/scripts/embed_part.py"


rule embed_source:
    input:
        corpus="results/curated/{curation}/{source}/corpus.parquet",
        queries="results/curated/{curation}/{source}/queries.parquet",
        model=upstream("results/models/{retriever}/model"),
        parts=embedded_parts,
    output:
        manifest="results/vectors/{encoder}/{curation}/{source}.json",
        lineage="results/lineage/jobs/embed_source/{encoder}/{curation}/{source}.json",
    log:
        "logs/embed_source/{encoder}/{curation}/{source}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        **USES_DEVICE,
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        stanza=source_stanza,
        retriever=setting("retriever"),
        max_length=setting("mine.max_length"),
        device=RUN.mine.device,
        # Vectors by content, shared by all runs: no declared output, safe to delete.
        store=upstream("results/vectors/store/{encoder}"),
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_source.py"),
    script:
        "../workflow/scripts/embed_source.py"


rule mine_part:
    input:
        corpus=upstream("results/curated/{curation}/{source}/corpus.parquet"),
        queries=upstream("results/curated/{curation}/{source}/queries.parquet"),
        near=upstream("results/curated/{curation}/{source}/near.parquet"),
        vectors=upstream("results/vectors/{encoder}/{curation}/{source}.json"),
    output:
        tuples=temp(
            "results/mined/{mining}/{source}/part-{part}-of-{parts}/tuples.parquet"
        ),
        rejected=temp(
            "results/mined/{mining}/{source}/part-{part}-of-{parts}/rejected.parquet"
        ),
        lineage="results/lineage/jobs/mine_part/{mining}/{source}-{part}-of-{parts}.json",
    log:
        "logs/mine_part/{mining}/{source}-{part}-of-{parts}.log",
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
        settings=setting("mine"),
        seed=setting("seed"),
        on_source_error=RUN.on_source_error,
        code=code_digest("mine_part.py"),
    script:
        "../workflow/scripts/mine_part.py"


rule mine_source:
    input:
        corpus=upstream("results/curated/{curation}/{source}/corpus.parquet"),
        queries=upstream("results/curated/{curation}/{source}/queries.parquet"),
        near=upstream("results/curated/{curation}/{source}/near.parquet"),
        vectors=upstream("results/vectors/{encoder}/{curation}/{source}.json"),
        tuples=mined_tuples,
        rejected=mined_rejected,
    output:
        tuples="results/mined/{mining}/{source}/tuples.parquet",
        rejected="results/mined/{mining}/{source}/rejected.parquet",
        lineage="results/lineage/jobs/mine_source/{mining}/{source}.json",
    log:
        "logs/mine_source/{mining}/{source}.log",
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
        settings=setting("mine"),
        seed=setting("seed"),
        on_source_error=RUN.on_source_error,
        code=code_digest("mine_source.py"),
    script:
        "../workflow/scripts/mine_source.py"


rule mine:
    input:
        expand(f"results/mined/{MINING}/{{source}}/tuples.parquet", source=TRAINED),
