import re
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.files import read_json, write_json
from f2llm.records.scores import Compared
from f2llm.records.tables import read_table
from f2llm.report.comparison import build_comparison

SCORES = [
    Compared("Good", "toyrun", 60.0, None, None, None, None),
    Compared("Good", "other", 64.0, 4.0, 1.5, 6.5, True),
    Compared("Good", "finder", 61.0, 1.0, -2.5, 4.5, False),
    Compared("Worse", "toyrun", 40.0, None, None, None, None),
    Compared("Worse", "other", 40.5, 0.5, None, None, None),
    Compared("Worse", "finder", 41.0, 1.0, None, None, None),
]


@pytest.fixture
def two(results):
    """Two runs that differ in their learning rate, and a model that was only scored."""
    shutil.copytree(results / "runs/toyrun", results / "runs/other")
    path = results / "runs/other/run.json"
    run = read_json(path)
    run["settings"]["train"]["learning_rate"] = 0.2
    run["settings"]["backbone"]["fetch"]["path"] = "/home/alicewonder/base"
    write_json(path, run)
    return results


def page(results, scores=SCORES):
    path = results / "report/compare.html"
    names = list(dict.fromkeys(row.model for row in scores))
    assert build_comparison(names, results=results, scores=scores, output=path) == str(path)
    return path.read_text()


def rows(results, name):
    return read_table(results / "report/compare" / f"{name}.parquet").to_pylist()


def test_means_and_differences_are_to_the_first_run(two):
    text = page(two)
    found = {row["run"]: (row["mean"], row["difference"], row["steps"], row["loss"]) for row in rows(two, "runs")}
    assert found == {
        "toyrun": (50.0, None, 2, 1.0),
        "other": (52.25, 2.25, 2, 1.0),
        "finder": (51.0, 1.0, None, None),
    }
    assert "+4.0" in text and "Missing" not in text


def test_a_run_from_before_its_tables_were_long_is_compared_with_a_new_one(two):
    new = page(two)
    batches = {
        "step": [0, 1], "batch": [0, 0], "source": ["toy"] * 2, "loss": [2.0, 1.0], "tokens": [10, 10],
        "seconds": [1.0, 1.0], "tokens_per_second": [10.0, 10.0],
    }  # fmt: skip
    pq.write_table(pa.table(batches), two / "runs/toyrun/metrics.parquet")
    assert page(two) == new


def test_a_difference_is_said_to_be_chance_only_where_that_was_asked(two):
    page(two)
    found = {(row["task"], row["model"]): row["verdict"] for row in rows(two, "scores")}
    assert found["Good", "other"] == "more than chance"
    assert found["Good", "finder"] == "may be chance"
    assert found["Worse", "other"] == ""


def test_only_settings_that_differ_are_told_and_no_home_folder(two):
    text = page(two)
    told = {row["setting"]: (row["toyrun"], row["other"]) for row in rows(two, "settings")}
    assert told == {
        "train.learning_rate": ("0.1", "0.2"),
        "backbone.fetch.path": ("base", "[withheld]"),
    }
    assert "alicewonder" not in text


def test_a_source_that_one_run_lacks_has_no_tuples_there(two):
    path = two / "runs/other/plan.parquet"
    plan = read_table(path)
    (two / "runs/other/metrics.parquet").unlink()
    text = page(two)
    assert "other: results/runs/other/metrics.parquet is missing" in text
    assert len(plan) == 2
    assert rows(two, "sources") == [{"source": "toy", "tuples_toyrun": 1, "loss_toyrun": 1.5}]


def test_a_setting_is_read_from_the_side_that_it_begins_at(two):
    text = page(two)
    assert re.search(r'<span dir="auto">[^<]*learning_rate: 0.1 -&gt; 0.2', text)


def test_the_page_asks_no_network_and_runs_no_script(two):
    text = page(two)
    assert "<script" not in text and "default-src 'none'" in text
    assert "http" not in text.split("<svg")[0].replace("http-equiv", "")
