import dataclasses
from pathlib import Path

import pytest

from f2llm.config.evaluate import ScoredModel
from f2llm.config.load import load_run, load_run_file
from f2llm.config.scoring_jobs import candidates, instructed_tasks, jobs, score_paths
from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run():
    return load_run_file(ROOT / "config" / "config.yaml")


def test_both_poolings_of_the_base_share_a_job(run):
    shared = [job for job in jobs(run) if len(job.candidates) > 1]
    assert shared
    assert all([candidate.pooling for candidate in job.candidates] == ["last", "mean"] for job in shared)


def test_every_candidate_is_scored_on_every_task_exactly_once(run):
    done = [(candidate.name, task.name) for job in jobs(run) for candidate in job.candidates for task in job.tasks]
    paths = [f"s/{candidate}/{task}.json" for candidate, task in done]
    assert sorted(paths) == sorted(score_paths(run, folder="s"))
    assert len(set(paths)) == 4 * len(run.benchmark.tasks)


def test_rules_have_different_names(run):
    names = [job.name for job in jobs(run)]
    assert len(set(names)) == len(names)


def test_a_task_without_instruction_takes_that_of_its_source(run):
    sources = {source.name: source for source in (*run.sources, *run.heldout_sources)}
    assert all(task.instruction == sources[task.source].instruction for task in instructed_tasks(run))


def test_each_candidate_says_how_it_is_read_its_own_settings_first(run):
    own = (ScoredModel(model=run.retriever.name, max_length=33, precision="bfloat16", dimensions=()),)
    settings = dataclasses.replace(run.evaluate, models=own, max_length=77, precision="float32", dimensions=(8,))
    found = candidates(dataclasses.replace(run, evaluate=settings, scored_models=(run.retriever,)))
    read = {one.role: (one.max_length, one.precision) for one in found}
    assert read == dict.fromkeys(("run", "cut", "base_last", "base_mean"), (77, "float32")) | {
        "ceiling": (33, "bfloat16")
    }


def test_a_run_named_like_its_base_is_refused(run):
    with pytest.raises(InputError, match="rename the run"):
        candidates(dataclasses.replace(run, run=f"{run.backbone.name}-last"))


def test_the_benchmark_scores_held_out_rows_and_whole_untrained_sources(run):
    trained = {source.name for source in run.sources}
    assert len(run.benchmark.tasks) == 14
    assert {task.split for task in run.benchmark.tasks if task.source in trained} == {"test"}
    assert {task.split for task in run.benchmark.tasks if task.source not in trained} == {"all"}


def test_the_dev_benchmark_has_the_trained_sources_only(run):
    content = read_yaml(ROOT / "config" / "config.yaml") | {"benchmark": "embedded-dev"}
    dev = load_run(content, folder=ROOT / "config", where="dev")
    assert dev.heldout_sources == ()
    assert {task.split for task in dev.benchmark.tasks} == {"dev"}
    scored = {
        (task.type, task.source, task.queries, task.passages) for task in run.benchmark.tasks if task.split == "test"
    }
    assert {(task.type, task.source, task.queries, task.passages) for task in dev.benchmark.tasks} == scored
