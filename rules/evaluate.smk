"""Evaluate: mteb's scores of the run and of the models that it is compared with, scoreboard and gate."""

from f2llm.config.parts import shown_source

# What `score_models` scores without the run: evaluate.models, or if there are none, base and retriever.
NAMED = [f"results/models/{model.name}/model" for model in RUN.scored_models] or [
    candidate.folder for candidate in CANDIDATES if candidate.folder != OF_RUN
]
SCORED_MODELS = [candidate for candidate in CANDIDATES if candidate.folder in NAMED]
VERDICTS = check_files(INSTRUCTED)
BOARD = {
    "tasks": plain(list(INSTRUCTED.values())),
    "trained": TRAINED,
    "datasets": list(RUN.trained_datasets),
    "declared": declared_tasks(),
    **undropped_sources(),
    "benchmark": plain(RUN.benchmark),
    "leaderboard": RUN.evaluate.leaderboard,
}

# Nothing is known about the data of models that this config does not train.
UNTRAINED = dict.fromkeys(("trained", "datasets", "declared", "off", "report"), [])
MANIFESTS = [path for job in EVALUATIONS for path in manifests_of_job(job)]
MODEL_MANIFESTS = [
    path for job in EVALUATIONS if job.folder in NAMED for path in manifests_of_job(job)
]


for job in EVALUATIONS:

    rule:
        name:
            job.name
        input:
            model=scored_folder(job),
            data=task_files_of_job(job, "results/benchmarks/{task}/data"),
            verdict=functools.partial(checks_of_job, job=job),
            shards=functools.partial(shard_manifests, job=job),
        output:
            scores=score_files(job, "results/scores/{candidate}/{task}.json"),
            single=score_files(job, "results/scores/{candidate}/items/{task}.parquet"),
            lineage=f"results/lineage/jobs/{job.name}/{unit_of_job(job)}.json",
        log:
            f"logs/{job.name}/{unit_of_job(job)}.log",
        wildcard_constraints:
            task=pattern_of(task.name for task in job.tasks),
        conda:
            "../environment.yml"
        threads: 1
        resources:
            **SCORES_ON_DEVICE,
            mem_mb=functools.partial(scoring_memory_mb, job=job),
            runtime=functools.partial(scoring_minutes, job=job),
        params:
            candidates=scored_models(job),
            tasks=functools.partial(scored_task_stanzas, job=job),
            store=EVALUATION_STORE,
            code=code_digest("evaluate_batch.py"),
        script:
            "../workflow/scripts/evaluate_batch.py"


# The passages of large tasks are encoded ahead, each share of them by a job.
for job in [job for job in EVALUATIONS if not job.batch]:

    rule:
        name:
            encode_rule(job)
        input:
            model=scored_folder(job),
            texts="results/benchmarks/{task}/texts.parquet",
            verdict=functools.partial(checks_of_job, job=job),
        output:
            manifest=f"results/vectors/evaluation/{unit_of_job(job)}/{{part}}-of-{{parts}}.json",
            lineage=f"results/lineage/jobs/{encode_rule(job)}/{unit_of_job(job)}-{{part}}-of-{{parts}}.json",
        log:
            f"logs/{encode_rule(job)}/{unit_of_job(job)}-{{part}}-of-{{parts}}.log",
        wildcard_constraints:
            task=pattern_of(task.name for task in job.tasks),
        conda:
            "../environment.yml"
        threads: 1
        resources:
            **SCORES_ON_DEVICE,
            mem_mb=functools.partial(scoring_memory_mb, job=job),
            runtime=functools.partial(scoring_minutes, job=job),
        params:
            candidates=scored_models(job),
            tasks=functools.partial(scored_task_stanzas, job=job),
            store=EVALUATION_STORE,
            code=code_digest("encode_shard.py"),
        script:
            "../workflow/scripts/encode_shard.py"


rule build_scoreboard:
    input:
        scores=SCORES,
        index=[f"results/evaluation_texts/{EVALUATION_TEXTS}"],
        manifests=MANIFESTS,
        checked=VERDICTS,
        removed=expand(
            f"results/curated/{CURATION}/{{source}}/removed.parquet", source=TRAINED
        ),
        published=board_files,
    output:
        table="results/scores/scoreboard.parquet",
        summary="results/scores/scoreboard.json",
        costs="results/scores/costs.json",
        lineage="results/lineage/jobs/build_scoreboard.json",
    log:
        "logs/build_scoreboard.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        candidates=plain(CANDIDATES),
        board=BOARD,
        content=board_content,
        code=code_digest("build_scoreboard.py"),
    script:
        "../workflow/scripts/build_scoreboard.py"


# The scoreboard without the run, for which nothing is trained.
rule compare_models:
    input:
        scores=expand(
            "results/scores/{candidate}/{task}.json",
            candidate=[candidate.name for candidate in SCORED_MODELS],
            task=INSTRUCTED,
        ),
        manifests=MODEL_MANIFESTS,
        checked=VERDICTS,
        removed=[],
        index=[],
        published=board_files,
    output:
        table="results/scores/models/scoreboard.parquet",
        summary="results/scores/models/scoreboard.json",
        costs="results/scores/models/costs.json",
        lineage="results/lineage/jobs/compare_models.json",
    log:
        "logs/compare_models.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        candidates=plain(SCORED_MODELS),
        board=BOARD | UNTRAINED,
        content=board_content,
        code=code_digest("build_scoreboard.py"),
    script:
        "../workflow/scripts/build_scoreboard.py"


rule export_scores:
    input:
        scores=SCORES,
        costs="results/scores/costs.json",
        summary="results/scores/scoreboard.json",
        model=OF_RUN,
    output:
        folder=directory("results/submission"),
        lineage="results/lineage/jobs/export_scores.json",
    log:
        "logs/export_scores.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        candidates=plain(CANDIDATES),
        board=BOARD,
        code=code_digest("export_scores.py"),
    script:
        "../workflow/scripts/export_scores.py"


rule check_gate:
    input:
        summary="results/scores/scoreboard.json",
        run=f"results/runs/{RUN.run}/run.json",
        estimate=f"results/runs/{RUN.run}/estimate.json",
        heldout=expand(
            "results/sources/{source}/{file}",
            source=[source.name for source in RUN.heldout_sources],
            file=("manifest.json", "queries.parquet"),
        ),
    output:
        gate=f"results/runs/{RUN.run}/gate.json",
        lineage=f"results/lineage/jobs/check_gate/{RUN.run}.json",
    log:
        f"logs/check_gate/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=growing(10),
    params:
        run=RUN.run,
        gate=plain(RUN.evaluate.gate),
        heldout=[shown_source(source) for source in RUN.heldout_sources],
        code=code_digest("check_gate.py"),
    script:
        "../workflow/scripts/check_gate.py"


rule evaluate:
    input:
        "results/scores/scoreboard.parquet",
        f"results/runs/{RUN.run}/gate.json",


rule score_models:
    input:
        "results/scores/models/scoreboard.parquet",


rule submission:
    input:
        "results/submission",
