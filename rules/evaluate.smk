"""Evaluate: tasks from held-out rows, mteb's scores for the run, its base and the retriever, the gate."""

from f2llm.evaluate.jobs import candidates, instructed_tasks, jobs, score_paths

EVALUATIONS = jobs(RUN)
SCORES = score_paths(RUN, folder="results/scores")


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
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        stanza=drawn_stanza,
        code=code_digest("build_task.py"),
    script:
        "../workflow/scripts/build_task.py"


for job in EVALUATIONS:

    rule:
        name:
            job.name
        input:
            model=job.folder,
            data=expand(
                "results/benchmarks/{task}/data",
                task=[task.name for task in job.tasks],
            ),
        output:
            scores=expand(
                "results/scores/{candidate}/{task}.json",
                candidate=[candidate.name for candidate in job.candidates],
                task=[task.name for task in job.tasks],
            ),
            lineage=f"results/lineage/jobs/{job.name}/{job.candidates[0].name}.json",
        log:
            f"logs/{job.name}/{job.candidates[0].name}.log",
        conda:
            "../environment.yml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            candidates=plain(job.candidates),
            tasks=plain(job.tasks),
            # A changed gate scores nothing anew.
            settings=plain(RUN.evaluate)
            | {"gate": {"over_base_last": 0, "over_base_mean": 0}},
            code=code_digest("evaluate_batch.py"),
        script:
            "../workflow/scripts/evaluate_batch.py"


rule build_scoreboard:
    input:
        scores=SCORES,
        index=f"results/evaluation_texts/{EVALUATION_TEXTS}",
    output:
        table="results/scores/scoreboard.parquet",
        summary="results/scores/scoreboard.json",
        lineage="results/lineage/jobs/build_scoreboard.json",
    log:
        "logs/build_scoreboard.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        candidates=plain(candidates(RUN)),
        tasks=plain(instructed_tasks(RUN)),
        trained=TRAINED,
        declared=declared_tasks(),
        decontamination=decontamination(),
        code=code_digest("build_scoreboard.py"),
    script:
        "../workflow/scripts/build_scoreboard.py"


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
        mem_mb=500,
        runtime=10,
    params:
        gate=plain(RUN.evaluate.gate),
        code=code_digest("check_gate.py"),
    script:
        "../workflow/scripts/check_gate.py"


rule evaluate:
    input:
        "results/scores/scoreboard.parquet",
        f"results/runs/{RUN.run}/gate.json",
