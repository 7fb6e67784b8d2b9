"""Ablate: runs that differ from this one in one change each, and the effect of each change on the scores.

Their jobs are those of the rules before this one, with another `run` (and, where a change concerns an earlier stage,
another variant key) in their paths: files that runs have in common are made once.
"""

if CHANGED:

    rule compare_changes:
        input:
            scores=expand(
                "results/scores/{run}/{task}.json", run=RUNS.by_name, task=INSTRUCTED
            ),
            single=expand(
                "results/scores/{run}/items/{task}.parquet",
                run=RUNS.by_name,
                task=INSTRUCTED,
            ),
            runs=expand("results/runs/{run}/run.json", run=RUNS.by_name),
            trained=expand(
                "results/runs/{run}/{table}.parquet",
                run=RUNS.by_name,
                table=("plan", "metrics", "validation"),
            ),
        output:
            table=EFFECTS,
            page=f"results/ablations/{RUN.run}/index.html",
            lineage=f"results/lineage/jobs/compare_changes/{RUN.run}.json",
        log:
            f"logs/compare_changes/{RUN.run}.log",
        conda:
            "../environment.yml"
        threads: 1
        resources:
            mem_mb=growing(2000),
            runtime=growing(60),
        params:
            run=RUN.run,
            changed=[run.run for run in CHANGED],
            tasks={task.name: task.source for task in INSTRUCTED.values()},
            code=code_digest("compare_changes.py"),
        script:
            "../workflow/scripts/compare_changes.py"


rule ablate:
    input:
        "results/scores/scoreboard.parquet",
        effects_table,
