"""What a person reads of an estimate: the stages, and the whole run on GPUs, against the paper's counts."""

import dataclasses
import json
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.config.parts import training_settings
from f2llm.config.sources import Expected
from f2llm.estimate.counts import ExpectedRows
from f2llm.estimate.printed import SEARCHES_SHOWN, gpu_lines
from f2llm.estimate.sizing import Sizes
from f2llm.records.files import write_json

ROOT = Path(__file__).parents[3]
PAPER = load_run_file(ROOT / "config" / "f2llm-0.6b.yaml")


def said_of(run, results="nowhere"):
    sizes = Sizes(ExpectedRows(run, results=results, lock="nowhere"), gpu_tflops=500.0)
    return "\n".join(gpu_lines(sizes, peak_tflops=1000.0, share=0.5))


def write_plan(results, run):
    """The manifest of the job that plans `run`."""
    counts = {"steps": 7, "rows": 70, "tokens": 7000, "balance": {"16": 1.002}, "padded_over_useful": 3.9}
    settings = json.loads(json.dumps(training_settings(run)))
    write_json(
        results / f"lineage/jobs/plan_run/{PAPER.run}.json", {"counts": counts, "params": {"settings": settings}}
    )


def test_the_papers_run_is_said_on_gpus_whatever_is_here():
    lines = said_of(PAPER)
    assert "run          f2llm-0.6b: qwen3-0.6b on 16 processes" in lines
    assert "60 of 60 sources are counted: 5,933,988 queries, 24,727,016 passages" in lines
    assert "training     23,008 steps, 16,039," in lines and "(1,365 a tuple, " in lines
    assert lines.count("50% of 1,000 TFLOP/s") == 3 and lines.count("an assumption") == 3
    assert "memory       5.4 GB of weights and optimiser a process" in lines
    assert "licences     commercial use: 9 no, 38 unknown, 13 yes" in lines


def test_a_plan_replaces_expectations_by_exact_figures(tmp_path):
    write_plan(tmp_path, PAPER)
    lines = said_of(PAPER, tmp_path)
    assert "7 steps, 7,000 tokens (100 a tuple, 1,000 a step; exact, from the plan)" in lines
    assert "in one padded tensor a batch 3.9 x; max / mean of processes <= 1.002" in lines


def test_a_plan_of_other_settings_says_nothing(tmp_path):
    write_plan(tmp_path, dataclasses.replace(PAPER, seed=PAPER.seed + 1))
    assert said_of(PAPER, tmp_path) == said_of(PAPER)


def test_sources_without_counts_are_left_out_and_without_any_nothing_is_said():
    first, second = PAPER.sources[0], dataclasses.replace(PAPER.sources[1], max_queries=100)
    nothing = Expected(queries=None, passages=None, query_tokens=None, passage_tokens=None)
    uncounted = dataclasses.replace(first, expected=nothing)
    assert "1 of 2 sources are counted: 100 queries" in said_of(dataclasses.replace(PAPER, sources=(uncounted, second)))
    assert said_of(dataclasses.replace(PAPER, sources=(uncounted,))) == ""


def test_the_largest_searches_are_named_on_a_thread_and_on_a_gpu():
    lines = said_of(PAPER).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("search"))
    searches = lines[start + 1 :]
    assert len(searches) == SEARCHES_SHOWN and searches[0].split()[0] == "paq"
    seconds = 2 * 365503 * 4472684 * 1024 / 500e12 + 365503 * 2.5e-4
    assert searches[2].endswith(f"365,503 queries x 4,472,684 passages: 12.43 h or {seconds:,.1f} s, 4 jobs")


@pytest.mark.parametrize("processes", [1, 4])
def test_hours_are_those_of_all_gpus_and_of_each(processes):
    train = dataclasses.replace(PAPER.train, processes=processes, nodes=1)
    [line] = [line for line in said_of(dataclasses.replace(PAPER, train=train)).splitlines() if "train time" in line]
    hours = float(line.split()[2])
    assert f"{hours / processes:.2f} hours on {processes} (" in line
