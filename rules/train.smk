"""Train: texts to tokens, the plan of every step, the training itself."""

from f2llm.runs.run_file import training_settings

BACKBONE = "results/models/{backbone}/model"
TUPLES = "results/mined/{mining}/{source}/tuples.parquet"
TOKEN_FILES = [
    f"{rows}.{kind}"
    for rows in ("passages", "queries", "positives")
    for kind in ("bin", "offsets")
]
TOKENISED = [
    f"results/tokens/{{tokens}}/{{source}}/{file}"
    for file in ["meta.json", *TOKEN_FILES]
]
LENGTHS = [
    f"results/tokens/{{tokens}}/{{source}}/{rows}.{kind}"
    for rows in ("passages", "queries")
    for kind in ("offsets", "bin")
]


rule tokenise_source:
    input:
        corpus=upstream("results/curated/{curation}/{source}/corpus.parquet"),
        queries=upstream("results/curated/{curation}/{source}/queries.parquet"),
        model=upstream(BACKBONE),
    output:
        meta="results/tokens/{tokens}/{source}/meta.json",
        rows=expand("results/tokens/{{tokens}}/{{source}}/{file}", file=TOKEN_FILES),
        lineage="results/lineage/jobs/tokenise_source/{tokens}/{source}.json",
    log:
        "logs/tokenise_source/{tokens}/{source}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        instruction=instruction,
        backbone=setting("backbone"),
        settings=setting("tokens"),
        code=code_digest("tokenise_source.py"),
    script:
        "../workflow/scripts/tokenise_source.py"


rule plan_run:
    input:
        tuples=of_each_source(TUPLES),
        tokens=of_each_source("results/tokens/{tokens}/{source}/meta.json"),
        lengths=of_each_source(*LENGTHS),
    output:
        plan="results/runs/{run}/plan.parquet",
        validation="results/runs/{run}/validation_plan.parquet",
        run="results/runs/{run}/run.json",
        lineage="results/lineage/jobs/plan_run/{run}.json",
    log:
        "logs/plan_run/{run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        sources=trained_sources,
        settings=run_settings,
        variants=run_keys,
        backbone_folder=upstream(BACKBONE),
        on_error=RUN.on_source_error,
        code=code_digest("plan_run.py"),
    script:
        "../workflow/scripts/plan_run.py"


rule train_model:
    input:
        run="results/runs/{run}/run.json",
        plan="results/runs/{run}/plan.parquet",
        validation="results/runs/{run}/validation_plan.parquet",
        tuples=of_each_source(TUPLES),
        tokens=of_each_source(*TOKENISED),
        model=upstream(BACKBONE),
    output:
        model=directory("results/runs/{run}/model"),
        metrics="results/runs/{run}/metrics.parquet",
        validation="results/runs/{run}/validation.parquet",
        lineage="results/lineage/jobs/train_model/{run}.json",
    log:
        "logs/train_model/{run}.log",
    conda:
        "../environment.yml"
    threads: RUN.train.threads * RUN.train.processes
    resources:
        **training_resources(),
    params:
        processes=RUN.train.processes,
        nodes=RUN.train.nodes,
        threads=RUN.train.threads,
        code=code_digest("train_model.py", "f2llm/train/__main__.py"),
    script:
        "../workflow/scripts/train_model.py"


rule train:
    input:
        f"results/runs/{RUN.run}/model",
        f"results/runs/{RUN.run}/metrics.parquet",
