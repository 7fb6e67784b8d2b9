"""Manifests that the jobs on the whole run read: report, cards, crate and the comparison with the estimate."""

# Manifests of all jobs that the scoreboard of the config's own run depends on, and its own.
JOBS = [
    *expand("results/lineage/jobs/fetch_source/{source}.json", source=sorted(SOURCES)),
    *expand(
        "results/lineage/jobs/normalise_source/{source}.json", source=sorted(SOURCES)
    ),
    *expand(
        "results/lineage/jobs/prepare_model/{model}.json",
        model=sorted(
            {model.name for model in (RUN.backbone, RUN.retriever, *RUN.scored_models)}
        ),
    ),
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
