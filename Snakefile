"""F2LLM pipeline. Targets: all (default), fetch, bundle, curate, audit, mine, compare, train, evaluate, report;
fetch_benchmark, score_models, submission."""

from snakemake.utils import min_version

min_version("9.0")


# Used with `--sdm apptainer` only (docs/slurm.md).
container: "containers/f2llm.sif"


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/sources.smk"
include: "rules/curate.smk"
include: "rules/mine.smk"
include: "rules/compare.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


# On a cluster these run where snakemake runs: there is the network, and their work takes seconds.
localrules:
    all,
    build_report,
    build_scoreboard,
    check_gate,
    check_splits,
    compare_models,
    export_scores,
    fetch_source,
    fetch_task,
    pack_bundle,


if workflow.remote_exec:
    check_this_node()
elif workflow.is_main_process and not workflow.dryrun:
    check_site()


onstart:
    take_lock()
    clear_queue()


onsuccess:
    print_closing_lines()


onerror:
    print_failures()


rule all:
    default_target: True
    input:
        f"results/runs/{RUN.run}/gate.json",
        "results/report/index.html",
