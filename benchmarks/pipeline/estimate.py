"""The estimate of a finished run beside what it took.

    python -m benchmarks.pipeline.estimate RESULTS --out benchmarks/results/estimate.json

`--run seed1 --seed 1` for a run of the same config under another name and seed, of which config/counts.lock.json is a
guide only. The estimate knows nothing of RESULTS. Manifests of before processor time was noted state wall time: there a
job counts as many seconds as it took, the training that many for each of its threads. Vectors of several runs share a
folder: there disk is too large.
"""

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import commit, machine, versions
from f2llm.config.load import load_run_file
from f2llm.config.run import Run
from f2llm.config.variants import encoder_key, evaluation_texts_key, tokens_key
from f2llm.estimate.compare import compare, truth
from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.machine import Machine, stages_of
from f2llm.estimate.rates import GPU_TFLOPS
from f2llm.estimate.stages import as_json
from f2llm.records.files import read_json

VARIANT = re.compile(r"-[0-9a-f]{8}$")


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.add_argument("--run", help="default: that of the config")
    parser.add_argument("--seed", type=int, help="default: that of the config")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    run = load_run_file(options.config)
    run = replace(run, run=options.run or run.run, seed=run.seed if options.seed is None else options.seed)
    expected = as_json(stages_of(ExpectedRows(run, results="nowhere"), Machine.here(".", tflops=GPU_TFLOPS)))
    jobs = manifests(options.results, run)
    figures = compare(expected, truth(jobs, results=options.results, run=run.run))
    before = read_json(options.out) if options.out.is_file() else {}
    content = {
        "machine": machine(), "versions": versions(), "commit": commit(), "jobs": len(jobs),
        "processor_time_was_noted": all("cpu_seconds" in job for job in jobs),
        "figures": [figure._asdict() | {"off": figure.off} for figure in figures],
    }  # fmt: skip
    options.out.write_text(json.dumps(before | {run.run: content}, indent=1) + "\n")
    for figure in figures:
        off = "" if figure.off is None else f"{figure.off:+.0%}"
        print(f"{figure.stage:<10}{figure.figure:<8}{figure.expected:>12,.1f}{figure.truth:>12,.1f}{off:>8}")


def manifests(results: Path, run: Run) -> list[dict[str, Any]]:
    """Return the manifests of all jobs of a run, its outputs' paths made those of `results`."""
    own = {run.run, f"{run.backbone.name}-last", run.retriever.name}
    expected = ExpectedRows(run, results="nowhere")
    encoder = encoder_key(run.retriever, max_length=run.mine.max_length)
    keys = {expected.curation, expected.mining, encoder, tokens_key(run), evaluation_texts_key(run)}
    found = []
    for path in sorted((results / "lineage" / "jobs").rglob("*.json")):
        job = read_json(path)
        if not {part for part in path.with_suffix("").parts if VARIANT.search(part)} <= keys:
            continue  # of other settings
        of_a_run = job["rule"].startswith(("plan_run", "train_model", "evaluate_run", "check_gate", "build_report"))
        if of_a_run and path.stem not in own:
            continue  # another run in the same folder
        if job["rule"] in ("estimate_run", "compare_estimate"):
            continue
        job["outputs"] = {str(results.parent / output): digest for output, digest in job["outputs"].items()}
        if job["rule"] == "train_model" and "cpu_seconds" not in job:
            job["cpu_seconds"] = job["seconds"] * run.train.threads * run.train.processes
        found.append(job)
    return found


if __name__ == "__main__":
    main()
