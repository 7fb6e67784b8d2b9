"""Manifests are read by their format; the jobs of a run are those that its files came from."""

from pathlib import Path

import pytest

from f2llm.jobs.job import FORMAT
from f2llm.records.errors import InputError
from f2llm.records.files import write_json
from f2llm.runs.manifests import FORMATS, Job, jobs_beside, jobs_of, read_content, read_jobs, read_manifests

CONTENT = {
    "rule": "fetch_source", "inputs": {}, "outputs": {"results/sources/a/raw": "a" * 64}, "params": {}, "code": "c",
    "wildcards": {"source": "a"}, "versions": {}, "counts": {}, "seconds": 1.0,
}  # fmt: skip


def write(results, name, content):
    path = results / "lineage/jobs" / name
    write_json(path, content)
    return path


def test_what_jobs_write_is_among_the_formats_that_are_read():
    assert FORMAT in FORMATS


def test_manifests_of_all_formats_up_to_this_one_are_read(tmp_path):
    write(tmp_path, "old/a.json", CONTENT)
    write(tmp_path, "now/a.json", CONTENT | {"format": FORMAT, "unheard": 1})
    assert [(one.rule, one.unit) for one in read_jobs(tmp_path)] == [("fetch_source", "a")] * 2


def test_a_manifest_of_a_newer_format_is_named_with_what_is_read_and_what_to_do(tmp_path):
    path = write(tmp_path, "fetch_source/a.json", {"format": 3, "made": "otherwise"})
    said = f"{path}: is a manifest of format 3, and this version reads formats 1 and 2; use the version of this project that wrote it"
    for read in (read_jobs, lambda results: read_content(path)):
        with pytest.raises(InputError) as refused:
            read(tmp_path)
        assert refused.value.faults[0].startswith(said)


def test_foreign_files_among_the_manifests_are_passed_over_and_known(tmp_path):
    write(tmp_path, "fetch_source/a.json", CONTENT)
    foreign = write(tmp_path, "note.json", ["no manifest"])
    assert len(read_jobs(tmp_path)) == 1
    assert read_manifests(tmp_path).foreign == [foreign]


def job(rule, outputs, inputs=(), *, unit="x"):
    digests = [dict.fromkeys((f"results/{name}" for name in names), "a" * 64) for names in (inputs, outputs)]
    return Job(Path(f"{rule}/{unit}.json"), rule, *digests, {}, "c", {"unit": unit}, {}, {}, 1.0)


def test_jobs_behind_the_files_of_a_run_are_its_own_and_no_other():
    shared = [job("fetch_source", ["sources/a/raw"]), job("index_texts", ["evaluation_texts/t-1"])]
    own = [
        *shared,
        job("curate_source", ["curated/c-1/a/corpus.parquet"], ["sources/a/raw", "evaluation_texts/t-1"]),
        job("plan_run", ["runs/r/plan.parquet"], ["curated/c-1/a/corpus.parquet"]),
        job("evaluate_base", ["scores/base/Task.json"]),
        job("build_scoreboard", ["scores/scoreboard.json"], ["scores/r/Task.json", "scores/base/Task.json"]),
    ]
    others = [
        job("curate_source", ["curated/c-2/a/corpus.parquet"], ["sources/a/raw"], unit="c-2"),
        job("index_texts", ["evaluation_texts/t-2"], unit="t-2"),
        job("plan_run", ["runs/other/plan.parquet"], ["curated/c-2/a/corpus.parquet"], unit="other"),
        job("build_report", ["report/index.html"], unit="other"),
    ]
    assert {one.path for one in jobs_of([*own, *others], "r")} == {one.path for one in own}


def test_the_scoreboard_of_another_run_is_not_its_own():
    board = job("build_scoreboard", ["scores/scoreboard.json"], ["scores/other/Task.json"])
    reads = job("plan_run", ["runs/r/plan.parquet"], ["scores/scoreboard.json"])
    assert [one.rule for one in jobs_of([board, reads], "r")] == ["plan_run"]
    assert [one.rule for one in jobs_of([board, reads], "other")] == ["build_scoreboard"]


def test_exports_and_ablations_of_a_run_stand_beside_its_jobs():
    export = job("export_scores", ["submission"], ["runs/r/model"])
    ablation = job("compare_changes", ["ablations/r/scores.parquet"], ["scores/r/Task.json"], unit="r")
    assert jobs_beside([export, ablation], "r") == [export, ablation]
    assert jobs_beside([export, ablation], "other") == []
