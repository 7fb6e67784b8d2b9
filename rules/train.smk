"""Train: texts to tokens, the plan of every step, the training itself."""

from f2llm.train.settings import training_settings

BACKBONE = f"results/models/{RUN.backbone.name}/model"
TOKEN_FILES = [
    f"{rows}.{kind}"
    for rows in ("passages", "queries", "positives")
    for kind in ("bin", "offsets")
]


rule tokenise_source:
    input:
        corpus=f"results/curated/{CURATION}/{{source}}/corpus.parquet",
        queries=f"results/curated/{CURATION}/{{source}}/queries.parquet",
        model=BACKBONE,
    output:
        meta=f"results/tokens/{TOKENS}/{{source}}/meta.json",
        rows=expand(
            f"results/tokens/{TOKENS}/{{{{source}}}}/{{file}}", file=TOKEN_FILES
        ),
        lineage=f"results/lineage/jobs/tokenise_source/{TOKENS}/{{source}}.json",
    log:
        f"logs/tokenise_source/{TOKENS}/{{source}}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        instruction=instruction,
        backbone=plain(RUN.backbone),
        settings=plain(RUN.tokens),
        code=code_digest("tokenise_source.py"),
    script:
        "../workflow/scripts/tokenise_source.py"


rule plan_run:
    input:
        tuples=expand(
            f"results/mined/{MINING}/{{source}}/tuples.parquet", source=TRAINED
        ),
        tokens=expand(f"results/tokens/{TOKENS}/{{source}}/meta.json", source=TRAINED),
        lengths=expand(
            f"results/tokens/{TOKENS}/{{source}}/{{rows}}.{{kind}}",
            source=TRAINED,
            rows=["passages", "queries"],
            kind=["offsets", "bin"],
        ),
    output:
        plan=f"results/runs/{RUN.run}/plan.parquet",
        validation=f"results/runs/{RUN.run}/validation_plan.parquet",
        run=f"results/runs/{RUN.run}/run.json",
        lineage=f"results/lineage/jobs/plan_run/{RUN.run}.json",
    log:
        f"logs/plan_run/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        sources=TRAINED,
        settings=training_settings(RUN),
        variants={
            "curated": CURATION,
            "vectors": ENCODER,
            "mined": MINING,
            "tokens": TOKENS,
        },
        backbone_folder=BACKBONE,
        on_error=RUN.on_source_error,
        code=code_digest("plan_run.py"),
    script:
        "../workflow/scripts/plan_run.py"


rule train_model:
    input:
        run=f"results/runs/{RUN.run}/run.json",
        plan=f"results/runs/{RUN.run}/plan.parquet",
        validation=f"results/runs/{RUN.run}/validation_plan.parquet",
        tuples=expand(
            f"results/mined/{MINING}/{{source}}/tuples.parquet", source=TRAINED
        ),
        tokens=expand(
            f"results/tokens/{TOKENS}/{{source}}/{{file}}",
            source=TRAINED,
            file=["meta.json", *TOKEN_FILES],
        ),
        model=BACKBONE,
    output:
        model=directory(f"results/runs/{RUN.run}/model"),
        metrics=f"results/runs/{RUN.run}/metrics.parquet",
        validation=f"results/runs/{RUN.run}/validation.parquet",
        lineage=f"results/lineage/jobs/train_model/{RUN.run}.json",
    log:
        f"logs/train_model/{RUN.run}.log",
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
