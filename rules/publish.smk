"""Publish: a run in forms that others read: cards for a hub, Croissant for its tuples, a Workflow Run RO-Crate."""

CARDS = f"results/cards/{RUN.run}"


rule write_cards:
    input:
        jobs=JOBS,
        model=OF_RUN,
        run=f"results/runs/{RUN.run}/run.json",
        plan=f"results/runs/{RUN.run}/plan.parquet",
        summary="results/scores/scoreboard.json",
        scores=[
            path for path in SCORES if path.startswith(f"results/scores/{RUN.run}/")
        ],
        normalised=expand(
            "results/sources/{source}/{table}.parquet",
            source=TRAINED,
            table=("corpus", "queries"),
        ),
        heldout=expand(
            "results/sources/{source}/{file}",
            source=[source.name for source in RUN.heldout_sources],
            file=("manifest.json", "queries.parquet"),
        ),
        estimate=f"results/runs/{RUN.run}/estimate.json",
        curated=expand(
            f"results/curated/{CURATION}/{{source}}/{{table}}.parquet",
            source=TRAINED,
            table=("corpus", "queries", "removed", "hits"),
        ),
        mined=expand(
            f"results/mined/{MINING}/{{source}}/{{table}}.parquet",
            source=TRAINED,
            table=("tuples", "rejected"),
        ),
    output:
        model_card=f"{CARDS}/model_card.md",
        data_card=f"{CARDS}/data_card.md",
        croissant=f"{CARDS}/croissant.json",
        energy=f"{CARDS}/energy.parquet",
        lineage=f"results/lineage/jobs/write_cards/{RUN.run}.json",
    log:
        f"logs/write_cards/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        run=RUN.run,
        tasks=plain(list(INSTRUCTED.values())),
        heldout=[shown_source(source) for source in RUN.heldout_sources],
        energy=plain(RUN.energy),
        code=code_digest("write_cards.py"),
    script:
        "../workflow/scripts/write_cards.py"


rule write_crate:
    input:
        jobs=JOBS + [f"results/lineage/jobs/write_cards/{RUN.run}.json"],
        run=f"results/runs/{RUN.run}/run.json",
        manifests=expand(
            "results/sources/{source}/manifest.json", source=sorted(SOURCES)
        ),
        cards=[
            f"{CARDS}/{name}"
            for name in ("model_card.md", "data_card.md", "croissant.json")
        ],
    output:
        crate=directory("results/lineage/ro-crate"),
        lineage=f"results/lineage/jobs/write_crate/{RUN.run}.json",
    log:
        f"logs/write_crate/{RUN.run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
    params:
        run=RUN.run,
        code=code_digest("write_crate.py"),
    script:
        "../workflow/scripts/write_crate.py"


rule forms:
    input:
        rules.write_cards.output,
        rules.write_crate.output,
