"""The jobs of a run are those that its files came from, whatever folder their manifests lie in."""

from pathlib import Path

from f2llm.runs.manifests import Job
from f2llm.runs.run_jobs import jobs_beside, jobs_of


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
