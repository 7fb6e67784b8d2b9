"""Estimate: what the run is expected to take, before it starts, and what it took in the end."""

from f2llm.config.build import digest
from f2llm.config.parts import estimated_run, shown_stanzas


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
        run=digest([estimated_run(RUN), shown_stanzas(RUN)]),
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
