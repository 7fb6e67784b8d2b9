"""Train: a planned run becomes a model; interrupted training goes on from its last checkpoint."""


rule train_model:
    input:
        run="results/runs/{run}/run.json",
        plan="results/runs/{run}/plan.parquet",
        validation="results/runs/{run}/validation_plan.parquet",
        tuples=RUNS.of_each_source(TUPLES),
        tokens=RUNS.of_each_source(*TOKENISED),
        model=RUNS.upstream(BACKBONE),
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
