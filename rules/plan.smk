"""Plan: texts become rows of tokens, and it is decided which tuple is seen at which step."""


rule tokenise_source:
    input:
        corpus=RUNS.upstream("results/curated/{curation}/{source}/corpus.parquet"),
        queries=RUNS.upstream("results/curated/{curation}/{source}/queries.parquet"),
        model=RUNS.upstream(BACKBONE),
    output:
        meta="results/tokens/{tokens}/{source}/meta.json",
        rows=expand("results/tokens/{{tokens}}/{{source}}/{file}", file=TOKEN_FILES),
        lineage="results/lineage/jobs/tokenise_source/{tokens}/{source}.json",
    log:
        "logs/tokenise_source/{tokens}/{source}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        instruction=source_instruction,
        backbone=RUNS.setting("backbone", part_of=PromptedModel),
        settings=RUNS.setting("tokens"),
        code=code_digest("tokenise_source.py"),
    script:
        "../workflow/scripts/tokenise_source.py"


rule plan_run:
    input:
        tuples=RUNS.of_each_source(TUPLES),
        tokens=RUNS.of_each_source(TOKENS_META),
        lengths=RUNS.of_each_source(*LENGTHS),
    output:
        plan="results/runs/{run}/plan.parquet",
        validation="results/runs/{run}/validation_plan.parquet",
        run="results/runs/{run}/run.json",
        lineage="results/lineage/jobs/plan_run/{run}.json",
    log:
        "logs/plan_run/{run}.log",
    conda:
        "../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        runtime=minutes,
    params:
        sources=trained_source_names,
        settings=run_settings,
        variants=run_variant_keys,
        backbone_folder=RUNS.upstream(BACKBONE),
        on_error=RUN.on_source_error,
        code=code_digest("plan_run.py"),
    script:
        "../workflow/scripts/plan_run.py"
