"""Benchmark: the data of every evaluation task: fetched and checked, drawn from sources, or read from local files."""


rule fetch_task:
    output:
        raw=directory("results/benchmarks/{task}/data"),
        manifest="results/benchmarks/{task}/manifest.json",
        lineage="results/lineage/jobs/fetch_task/{task}.json",
    log:
        "logs/fetch_task/{task}.log",
    wildcard_constraints:
        task=pattern_of(TASKS_OF["mteb"]),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(240),
    params:
        stanza=fetched_task_order,
        on_error=RUN.on_source_error,
        code=code_digest("fetch_source.py"),
    script:
        "../workflow/scripts/fetch_source.py"


rule check_task:
    input:
        data="results/benchmarks/{task}/data",
        manifest="results/benchmarks/{task}/manifest.json",
    output:
        checked="results/benchmarks/{task}/checked.json",
        texts="results/benchmarks/{task}/texts.parquet",
        lineage="results/lineage/jobs/check_task/{task}.json",
    log:
        "logs/check_task/{task}.log",
    wildcard_constraints:
        task=pattern_of(TASKS_OF["mteb"]),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        stanza=read_task_stanza,
        code=code_digest("check_task.py"),
    script:
        "../workflow/scripts/check_task.py"


rule build_local_task:
    input:
        task_files,
    output:
        data=directory("results/benchmarks/{task}/data"),
        texts="results/benchmarks/{task}/texts.parquet",
        lineage="results/lineage/jobs/build_local_task/{task}.json",
    log:
        "logs/build_local_task/{task}.log",
    wildcard_constraints:
        task=pattern_of(TASKS_OF["local"]),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        stanza=read_task_stanza,
        content=task_content,
        code=code_digest("build_local_task.py"),
    script:
        "../workflow/scripts/build_local_task.py"


rule build_task:
    input:
        corpus=task_corpus,
        queries=task_queries,
    output:
        data=directory("results/benchmarks/{task}/data"),
        texts="results/benchmarks/{task}/texts.parquet",
        lineage="results/lineage/jobs/build_task/{task}.json",
    log:
        "logs/build_task/{task}.log",
    wildcard_constraints:
        task=pattern_of(TASKS_OF["drawn"]),
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        stanza=read_task_stanza,
        code=code_digest("build_task.py"),
    script:
        "../workflow/scripts/build_task.py"


rule fetch_benchmark:
    input:
        expand("results/benchmarks/{task}/texts.parquet", task=INSTRUCTED),
