"""Compare: our tuples of a source beside tuples that somebody published."""


rule compare:
    input:
        expand(
            f"results/mined/{MINING}/{{source}}/released.json", source=sorted(RELEASED)
        ),


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
