"""Report: one page that tells a person what the run was made of, what it gained, and what it cost."""

from f2llm.config.build import digest

JOBS = [
    *expand("results/lineage/jobs/fetch_source/{source}.json", source=sorted(SOURCES)),
    *expand(
        "results/lineage/jobs/normalise_source/{source}.json", source=sorted(SOURCES)
    ),
    *expand("results/lineage/jobs/prepare_model/{model}.json", model=sorted(MODELS)),
    *expand(
        "results/lineage/jobs/build_task/{task}.json", task=sorted(TASKS_OF["drawn"])
    ),
    *expand(
        f"results/lineage/jobs/curate_source/{CURATION}/{{source}}.json", source=TRAINED
    ),
    f"results/lineage/jobs/index_texts/{EVALUATION_TEXTS}.json",
    f"results/lineage/jobs/check_splits/{CURATION}.json",
    f"results/lineage/jobs/find_shared/{CURATION}.json",
    *expand(
        f"results/lineage/jobs/embed_source/{ENCODER}/{CURATION}/{{source}}.json",
        source=TRAINED,
    ),
    *expand(
        f"results/lineage/jobs/mine_source/{MINING}/{{source}}.json", source=TRAINED
    ),
    *expand(
        f"results/lineage/jobs/tokenise_source/{TOKENS}/{{source}}.json", source=TRAINED
    ),
    f"results/lineage/jobs/plan_run/{RUN.run}.json",
    f"results/lineage/jobs/train_model/{RUN.run}.json",
    *MANIFESTS,
    "results/lineage/jobs/build_scoreboard.json",
]


rule estimate_run:
    output:
        estimate=f"results/runs/{RUN.run}/estimate.json",
        lineage=f"results/lineage/jobs/estimate_run/{RUN.run}.json",
    log:
        f"logs/estimate_run/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        run=digest(plain(RUN) | {"energy": None}),  # which no estimate reads
        stanzas=config.get("stanzas", "config"),
        nowhere="results/.nowhere",
        tflops=GPU_TFLOPS,
        code=code_digest("estimate_run.py"),
    script:
        "../workflow/scripts/estimate_run.py"


rule compare_estimate:
    input:
        estimate=f"results/runs/{RUN.run}/estimate.json",
        jobs=JOBS,
    output:
        table=f"results/runs/{RUN.run}/estimate.parquet",
        lineage=f"results/lineage/jobs/compare_estimate/{RUN.run}.json",
    log:
        f"logs/compare_estimate/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        run=RUN.run,
        code=code_digest("compare_estimate.py"),
    script:
        "../workflow/scripts/compare_estimate.py"


rule build_report:
    input:
        jobs=JOBS,
        run=f"results/runs/{RUN.run}/run.json",
        plan=f"results/runs/{RUN.run}/plan.parquet",
        metrics=f"results/runs/{RUN.run}/metrics.parquet",
        validation=f"results/runs/{RUN.run}/validation.parquet",
        estimate=f"results/runs/{RUN.run}/estimate.parquet",
        scoreboard="results/scores/scoreboard.json",
        manifests=expand(
            "results/sources/{source}/manifest.json", source=sorted(SOURCES)
        ),
        normalised=expand(
            "results/sources/{source}/{table}.parquet",
            source=TRAINED,
            table=("corpus", "queries"),
        ),
        curated=expand(
            f"results/curated/{CURATION}/{{source}}/{{table}}.parquet",
            source=TRAINED,
            table=("corpus", "queries", "removed", "near", "hits"),
        ),
        shared=f"results/shared/{CURATION}/shared.json",
        vectors=expand(
            f"results/vectors/{ENCODER}/{CURATION}/{{source}}.json", source=TRAINED
        ),
        released=expand(
            f"results/mined/{MINING}/{{source}}/released.json", source=sorted(RELEASED)
        ),
        mined=expand(
            f"results/mined/{MINING}/{{source}}/{{table}}.parquet",
            source=TRAINED,
            table=("tuples", "rejected"),
        ),
    output:
        page=report(
            "results/report/index.html",
            caption="../workflow/report/page.rst",
            category="The run",
        ),
        scores=report(
            "results/report/scores.csv",
            caption="../workflow/report/scores.rst",
            category="Scores",
        ),
        tables=directory("results/report/tables"),
        figures=report(
            directory("results/report/figures"),
            patterns=["{figure}.svg"],
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        lineage=f"results/lineage/jobs/build_report/{RUN.run}.json",
    log:
        f"logs/build_report/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        run=RUN.run,
        heldout=[plain(source) for source in RUN.heldout_sources],
        code=code_digest("build_report.py"),
    script:
        "../workflow/scripts/build_report.py"


rule report:
    input:
        "results/report/index.html",
