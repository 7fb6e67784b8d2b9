"""Report: one page on the data of a run, its training, its scores and what it took."""


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
        heldout=[shown_source(source) for source in RUN.heldout_sources],
        code=code_digest("build_report.py"),
    script:
        "../workflow/scripts/build_report.py"


rule report:
    input:
        "results/report/index.html",
