"""Expected figures beside true ones."""

import pytest

from f2llm.estimate.compare import SCHEMA, compare, compare_estimate, read_estimate, truth
from f2llm.records.files import write_json

ERRORS = {"rows": 0.05, "disk": 0.25, "memory": 0.25, "cpu": 0.5}


def stage(name, **figures):
    return {"stage": name, "rows": 0, "disk_mb": 1.0, "memory_mb": 100.0, "cpu_seconds": 1.0} | figures


def manifest(rule, outputs=(), **more):
    return {
        "rule": rule,
        "seconds": 4.0,
        "peak_memory_mb": 100,
        "counts": {},
        "outputs": dict.fromkeys(outputs, ""),
    } | more


def test_jobs_are_added_up_by_stage(tmp_path):
    made = truth(
        [
            manifest("mine_source", counts={"tuples": 5}, cpu_seconds=2.0),
            manifest("mine_part", counts={"tuples": 9}, peak_memory_mb=300),
            manifest("train_model", counts={"training_peak_memory_mb": 5000}),
            manifest("evaluate_run_first"),
        ],
        results=tmp_path, run="toy",
    )  # fmt: skip
    assert made["mine"] == {"rows": 5, "disk": 0, "memory": 300, "cpu": 6.0}  # a part's tuples are in the source's
    assert made["train"]["memory"] == 5000
    assert set(made) == {"mine", "train", "evaluate"}


def test_a_file_of_two_jobs_counts_once_and_undeclared_folders_count(tmp_path):
    (tmp_path / ".cache/fetched/ab").mkdir(parents=True)
    (tmp_path / ".cache/fetched/ab/wheel").write_bytes(b"x" * 1_000_000)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/wheel").hardlink_to(tmp_path / ".cache/fetched/ab/wheel")
    (tmp_path / "runs/toy/checkpoints").mkdir(parents=True)
    (tmp_path / "runs/toy/checkpoints/step").write_bytes(b"x" * 2_000_000)
    made = truth([manifest("fetch_source", [tmp_path / "raw"]), manifest("train_model")], results=tmp_path, run="toy")
    assert (made["fetch"]["disk"], made["train"]["disk"]) == (1.0, 2.0)


@pytest.mark.parametrize(("expected", "within"), [(95, True), (105, True), (94, False), (106, False)])
def test_an_error_is_a_share_of_the_truth(expected, within):
    figures = compare(
        {"stages": [stage("mine", rows=expected)], "errors": ERRORS},
        {"mine": {"rows": 100, "disk": 1, "memory": 100, "cpu": 1}},
    )
    [rows] = [figure for figure in figures if figure.figure == "rows"]
    assert rows.within == within
    assert rows.off == pytest.approx(expected / 100 - 1)


def test_of_all_stages_memory_is_the_largest_and_the_rest_the_sum():
    made = {
        name: {"rows": 0, "disk": 2.0, "memory": memory, "cpu": 3.0} for name, memory in (("mine", 10), ("train", 90))
    }
    figures = compare({"stages": [stage("mine"), stage("train", memory_mb=70.0)], "errors": ERRORS}, made)
    whole = {figure.figure: (figure.expected, figure.truth) for figure in figures if figure.stage == "all"}
    assert whole == {"disk": (2.0, 4.0), "memory": (100.0, 90), "cpu": (2.0, 6.0)}


def test_the_table_is_read_back_and_counts_what_is_held_to_a_stated_error(tmp_path):
    write_json(tmp_path / "e.json", {"stages": [stage("mine", rows=5)], "errors": ERRORS})
    write_json(tmp_path / "j.json", manifest("mine_source", counts={"tuples": 5}))
    counts = compare_estimate(
        estimate=tmp_path / "e.json",
        jobs=[tmp_path / "j.json"],
        results=tmp_path,
        run="toy",
        output=tmp_path / "t.parquet",
    )
    figures = read_estimate(tmp_path / "t.parquet")
    assert counts == {
        "figures": 4,
        "within_stated_error": 2,
    }  # rows and memory; disk is nothing, time is four times more
    assert len(figures) == 7 and figures[0]._fields == tuple(SCHEMA.names)
    assert read_estimate(tmp_path / "none.parquet") == []
