"""F2LLM pipeline. Targets: all (default), probe, fetch, bundle, curate, audit, mine, compare, train, evaluate, report, forms;
ablate, fetch_benchmark, score_models, submission."""

from snakemake.utils import min_version

min_version("9.0")


# What `snakemake --report report.html` says first.
report: "workflow/report/workflow.rst"


# Used with `--sdm apptainer` only (docs/slurm.md).
container: "containers/f2llm.sif"


# In the order of the flow; each file uses only names of files before it.
include: "rules/common.smk"
include: "rules/functions/resources.smk"
include: "rules/functions/sources.smk"
include: "rules/sources.smk"
include: "rules/functions/curate.smk"
include: "rules/curate.smk"
include: "rules/functions/mine.smk"
include: "rules/mine.smk"
include: "rules/functions/plan.smk"
include: "rules/plan.smk"
include: "rules/functions/train.smk"
include: "rules/train.smk"
include: "rules/functions/benchmark.smk"
include: "rules/benchmark.smk"
include: "rules/functions/evaluate.smk"
include: "rules/evaluate.smk"
include: "rules/functions/ablate.smk"
include: "rules/ablate.smk"
include: "rules/functions/report.smk"
include: "rules/estimate.smk"
include: "rules/report.smk"
include: "rules/publish.smk"
include: "rules/functions/start.smk"


# On a cluster these run where snakemake runs: there is the network, and their work takes seconds.
localrules:
    all,
    build_report,
    build_scoreboard,
    check_gate,
    check_splits,
    compare_estimate,
    compare_models,
    estimate_run,
    export_scores,
    fetch_source,
    fetch_task,
    pack_bundle,
    probe_sources,
    write_cards,
    write_crate,


DIGESTS.keep()
if workflow.remote_exec:
    check_this_node()
elif workflow.is_main_process:
    check_place()


onstart:
    take_lock()
    prepare_cluster()


onsuccess:
    print_closing_lines()


onerror:
    print_failures()


rule all:
    default_target: True
    input:
        f"results/runs/{RUN.run}/gate.json",
        "results/report/index.html",
        "results/lineage/ro-crate",
