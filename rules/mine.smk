"""Mine: the texts of every trained source become vectors, the vectors tuples with hard negatives.

Large sources are encoded and searched by several jobs, each on a share of the rows. Compare: the tuples of a source
are compared with published ones.
"""


rule embed_part:
    input:
        corpus="results/curated/{curation}/{source}/corpus.parquet",
        queries="results/curated/{curation}/{source}/queries.parquet",
        model=RUNS.upstream("results/models/{retriever}/model"),
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
        stanza=mined_source,
        retriever=RUNS.setting("retriever", part_of=EncodingModel),
        max_length=RUNS.setting("mine.max_length"),
        device=RUN.mine.device,
        store=RUNS.upstream("results/vectors/store/{encoder}"),
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_source.py"),
    script:
        "../workflow/scripts/embed_source.py"


rule embed_source:
    input:
        corpus="results/curated/{curation}/{source}/corpus.parquet",
        queries="results/curated/{curation}/{source}/queries.parquet",
        model=RUNS.upstream("results/models/{retriever}/model"),
        parts=embedded_part_manifests,
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
        stanza=mined_source,
        retriever=RUNS.setting("retriever", part_of=EncodingModel),
        max_length=RUNS.setting("mine.max_length"),
        device=RUN.mine.device,
        # Vectors by the content of their texts, shared by all runs: no declared output, safe to delete.
        store=RUNS.upstream("results/vectors/store/{encoder}"),
        on_source_error=RUN.on_source_error,
        code=code_digest("embed_source.py"),
    script:
        "../workflow/scripts/embed_source.py"


rule mine_part:
    input:
        corpus=RUNS.upstream("results/curated/{curation}/{source}/corpus.parquet"),
        queries=RUNS.upstream("results/curated/{curation}/{source}/queries.parquet"),
        near=RUNS.upstream("results/curated/{curation}/{source}/near.parquet"),
        vectors=RUNS.upstream("results/vectors/{encoder}/{curation}/{source}.json"),
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
        stanza=mined_source,
        settings=RUNS.setting("mine"),
        seed=RUNS.setting("seed"),
        on_source_error=RUN.on_source_error,
        code=code_digest("mine_source.py"),
    script:
        "../workflow/scripts/mine_source.py"


rule mine_source:
    input:
        corpus=RUNS.upstream("results/curated/{curation}/{source}/corpus.parquet"),
        queries=RUNS.upstream("results/curated/{curation}/{source}/queries.parquet"),
        near=RUNS.upstream("results/curated/{curation}/{source}/near.parquet"),
        vectors=RUNS.upstream("results/vectors/{encoder}/{curation}/{source}.json"),
        tuples=mined_part_tuples,
        rejected=mined_part_rejected,
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
        stanza=mined_source,
        settings=RUNS.setting("mine"),
        seed=RUNS.setting("seed"),
        on_source_error=RUN.on_source_error,
        code=code_digest("mine_source.py"),
    script:
        "../workflow/scripts/mine_source.py"


rule compare_source:
    input:
        tuples=f"results/mined/{MINING}/{{source}}/tuples.parquet",
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        released_corpus=released_corpus,
        released_queries=released_queries,
    output:
        figures=f"results/mined/{MINING}/{{source}}/released.json",
        lineage=f"results/lineage/jobs/compare_source/{MINING}/{{source}}.json",
    log:
        f"logs/compare_source/{MINING}/{{source}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_digest("compare_source.py"),
    script:
        "../workflow/scripts/compare_source.py"


rule mine:
    input:
        expand(f"results/mined/{MINING}/{{source}}/tuples.parquet", source=TRAINED),


rule compare:
    input:
        expand(
            f"results/mined/{MINING}/{{source}}/released.json", source=sorted(RELEASED)
        ),
