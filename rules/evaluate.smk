"""Evaluate: mteb's scores for the run and the models beside it, scoreboard and gate."""

from f2llm.config.scoring_jobs import jobs, score_paths

EVALUATIONS = jobs(RUN)
SCORES = score_paths(RUN, folder="results/scores")
MODEL = "results/runs/{run}/model"
OF_RUN = MODEL.format(run=RUN.run)
# Scored without the run by `score_models`: those of evaluate.models, or where none is named the standing ones.
NAMED = [f"results/models/{model.name}/model" for model in RUN.scored_models] or [
    candidate.folder for candidate in CANDIDATES if candidate.folder != OF_RUN
]
SCORED_MODELS = [candidate for candidate in CANDIDATES if candidate.folder in NAMED]
VERDICTS = task_inputs(INSTRUCTED)
BOARD = {
    "tasks": plain(list(INSTRUCTED.values())),
    "trained": TRAINED,
    "datasets": list(RUN.trained_datasets),
    "declared": declared_tasks(),
    **decontamination(),
    "benchmark": plain(RUN.benchmark),
    "leaderboard": RUN.evaluate.leaderboard,
}

# Of models that this config does not train nothing is known.
UNTRAINED = dict.fromkeys(("trained", "datasets", "declared", "off", "report"), [])
MANIFESTS = [path for job in EVALUATIONS for path in manifests_of(job)]
MODEL_MANIFESTS = [
    path for job in EVALUATIONS if job.folder in NAMED for path in manifests_of(job)
]


for job in EVALUATIONS:
    # Each of these tasks is a job of its own.
    if not job.batch:

        rule:
            name:
                job.name.replace("evaluate", "encode")
            input:
                model=scored_folder(job),
                texts="results/benchmarks/{task}/texts.parquet",
                verdict=scored_verdict,
            output:
                manifest=f"results/vectors/evaluation/{scored_names(job)[0]}/{{task}}/{{part}}-of-{{parts}}.json",
                lineage=f"results/lineage/jobs/{job.name.replace('evaluate', 'encode')}/{scored_names(job)[0]}/{{task}}-{{part}}-of-{{parts}}.json",
            log:
                f"logs/{job.name.replace('evaluate', 'encode')}/{scored_names(job)[0]}/{{task}}-{{part}}-of-{{parts}}.log",
            wildcard_constraints:
                task=only(task.name for task in job.tasks),
            conda:
                "../environment.yml"
            threads: 1
            resources:
                **SCORES_ON_DEVICE,
                mem_mb=functools.partial(scoring_memory_mb, job=job),
                runtime=functools.partial(scoring_minutes, job=job),
            params:
                candidates=functools.partial(scored_models, job=job),
                tasks=scored_stanza,
                store="results/vectors/evaluation/store",
                code=code_digest("encode_shard.py"),
            script:
                "../workflow/scripts/encode_shard.py"

        rule:
            name:
                job.name
            input:
                model=scored_folder(job),
                data=scored_data,
                verdict=scored_verdict,
                shards=functools.partial(shard_manifests, model=scored_names(job)[0]),
            output:
                scores=expand(
                    "results/scores/{candidate}/{{task}}.json",
                    candidate=scored_names(job),
                ),
                single=expand(
                    "results/scores/{candidate}/items/{{task}}.parquet",
                    candidate=scored_names(job),
                ),
                lineage=f"results/lineage/jobs/{job.name}/{scored_names(job)[0]}/{{task}}.json",
            log:
                f"logs/{job.name}/{scored_names(job)[0]}/{{task}}.log",
            wildcard_constraints:
                task=only(task.name for task in job.tasks),
            conda:
                "../environment.yml"
            threads: 1
            resources:
                **SCORES_ON_DEVICE,
                mem_mb=functools.partial(scoring_memory_mb, job=job),
                runtime=functools.partial(scoring_minutes, job=job),
            params:
                candidates=functools.partial(scored_models, job=job),
                tasks=scored_stanza,
                # Vectors by content, shared by tasks and runs: no declared output, safe to delete.
                store="results/vectors/evaluation/store",
                code=code_digest("evaluate_batch.py"),
            script:
                "../workflow/scripts/evaluate_batch.py"

    else:

        rule:
            name:
                job.name
            input:
                model=scored_folder(job),
                data=expand(
                    "results/benchmarks/{task}/data",
                    task=[task.name for task in job.tasks],
                ),
                verdict=task_inputs([task.name for task in job.tasks]),
            output:
                scores=expand(
                    "results/scores/{candidate}/{task}.json",
                    candidate=scored_names(job),
                    task=[task.name for task in job.tasks],
                ),
                single=expand(
                    "results/scores/{candidate}/items/{task}.parquet",
                    candidate=scored_names(job),
                    task=[task.name for task in job.tasks],
                ),
                lineage=f"results/lineage/jobs/{job.name}/{scored_names(job)[0]}.json",
            log:
                f"logs/{job.name}/{scored_names(job)[0]}.log",
            conda:
                "../environment.yml"
            threads: 1
            resources:
                **SCORES_ON_DEVICE,
                mem_mb=functools.partial(scoring_memory_mb, job=job),
                runtime=functools.partial(scoring_minutes, job=job),
            params:
                candidates=functools.partial(scored_models, job=job),
                tasks=[scoring(task) for task in job.tasks],
                store="results/vectors/evaluation/store",
                code=code_digest("evaluate_batch.py"),
            script:
                "../workflow/scripts/evaluate_batch.py"


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
        code=code_digest("build_scoreboard.py"),
    script:
        "../workflow/scripts/build_scoreboard.py"


# The same without the run: nothing is trained for it.
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
        gate=plain(RUN.evaluate.gate),
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
