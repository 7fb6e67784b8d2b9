import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.lineage.diff.causes import Causes
from f2llm.lineage.diff.diff import diff_lines, diff_runs, tuple_changes
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.runs.layout import read_layout
from f2llm.runs.manifests import Job
from f2llm.runs.settings import flat


def job(rule, inputs, outputs, *, params=None, code="c", wildcards=None, versions=None):
    return Job(
        Path(f"{rule}.json"), rule, inputs, outputs, params or {}, code, wildcards or {}, versions or {}, {}, 1.0
    )


def chain(run, variant, *, threshold=0.8, code="c", raw="r", tables="t", plan="p"):
    """Curate, plan: as two runs with another threshold would leave them."""
    curated = f"results/curated/b-{variant}/toy/corpus.parquet"
    return [
        job(
            "curate_source",
            {"data/a.jsonl": raw},
            {curated: tables},
            params={"settings": {"near": threshold}},
            code=code,
        ),
        job("plan_run", {curated: tables}, {f"results/runs/{run}/plan.parquet": plan}, params={"run": run}),
    ]


def causes(one, two):
    return Causes((one, two), names=("a", "b"))


PLAN = "results/runs/{run}/plan.parquet"


def test_a_difference_is_followed_to_the_setting_that_it_comes_from():
    found = causes(chain("a", "0" * 8), chain("b", "1" * 8, threshold=0.7, tables="t2", plan="p2"))
    assert found.of(PLAN) == ["curate_source: settings.near: 0.8 -> 0.7"]


def test_changed_code_and_a_changed_file_are_causes_too():
    found = causes(chain("a", "0" * 8), chain("b", "0" * 8, code="d", raw="r2", tables="t2", plan="p2"))
    assert found.of(PLAN) == ["code of curate_source", "data/a.jsonl changed"]


def test_what_is_equal_has_no_cause_and_names_of_runs_are_none():
    found = causes(chain("a", "0" * 8), chain("b", "1" * 8))
    assert found.of(PLAN) == []
    assert found.differs(PLAN) is False
    assert found.differs("nothing") is None
    assert found.of("nothing") == []


def test_what_only_one_run_has_is_said():
    found = causes(chain("a", "0" * 8), [])
    assert found.of(PLAN) == [f"only a has {PLAN}"]


def test_other_versions_are_named_with_code_that_differs():
    one, two = (
        job("x", {}, {"o": "1"}, versions={"duckdb": "1"}),
        job("x", {}, {"o": "2"}, code="d", versions={"duckdb": "2"}),
    )
    assert causes([one], [two]).of("o") == ["code of x (or versions: duckdb 1 -> 2)"]


def of_sources(*names):
    """Plan and training of some sources."""
    tables = {f"results/tokens/t-1/{name}/passages.bin": name for name in names}
    settings = {"sources": [{"name": name, "adapter": "pairs", "options": {"min_words": 3}} for name in names]}
    plan = {PLAN: "".join(names)}
    return [
        *(job("tokenise_source", {}, {path: sha256}, wildcards={"source": sha256}) for path, sha256 in tables.items()),
        job("plan_run", tables, plan, params={"settings": settings, "sources": list(names)}),
        job("train_model", plan | tables, {"results/runs/{run}/model": "".join(names)}),
    ]


def test_a_source_left_out_is_one_cause_whatever_it_had():
    model = "results/runs/{run}/model"
    assert causes(of_sources("x", "y"), of_sources("x")).of(model) == ["source y is left out"]
    assert causes(of_sources("x"), of_sources("x", "y")).of(model) == ["source y is new"]


def test_lists_of_named_things_are_compared_by_name():
    assert dict(flat({"a": [{"name": "x", "v": 1}], "b": [1, 2]})) == {"a.x.name": "x", "a.x.v": 1, "b": [1, 2]}


@pytest.fixture
def two(results):
    shutil.copytree(results / "runs/toyrun", results / "runs/other")
    return results


def test_equal_runs_do_not_differ_and_a_run_is_not_compared_with_itself(two):
    assert diff_lines(diff_runs(two, "toyrun", two, "other")) == ["nothing differs"]
    with pytest.raises(InputError, match="named twice"):
        diff_runs(two, "toyrun", two, "toyrun")


def test_settings_that_differ_are_named_and_threads_are_none(two):
    content = read_json(two / "runs/other/run.json")
    content["settings"]["train"] |= {"learning_rate": 0.2, "threads": 7}
    content["settings"]["sources"].append(content["settings"]["sources"][0] | {"name": "extra"})
    write_json(two / "runs/other/run.json", content)
    lines = diff_lines(diff_runs(two, "toyrun", two, "other"))
    assert lines == ["settings  train.learning_rate: 0.1 -> 0.2", "sources   extra is new"]


def test_tuples_added_removed_and_with_other_negatives_are_counted(two, tmp_path):
    layouts = (
        read_layout(two, run="toyrun"),
        replace(read_layout(two, run="other"), variants={"curated": "c-1", "mined": "m-2"}),
    )
    table = pq.read_table(layouts[0].mined("toy") / "tuples.parquet")
    layouts[1].mined("toy").mkdir(parents=True)
    changed = table.set_column(6, table.schema.field(6), pa.chunked_array([pa.array([[2]], pa.list_(pa.int32()))]))
    pq.write_table(changed, layouts[1].mined("toy") / "tuples.parquet")
    assert tuple_changes(layouts, "toy") == ("toy", 1, 1, 0, 0, 1)
    pq.write_table(table.slice(0, 0), layouts[1].mined("toy") / "tuples.parquet")
    assert tuple_changes(layouts, "toy") == ("toy", 1, 0, 0, 1, 0)


def test_a_plan_and_scores_that_differ_are_said(two):
    path = two / "runs/other/plan.parquet"
    pq.write_table(pq.read_table(path).slice(0, 1), path)
    for run, score in (("toyrun", 0.5), ("other", 0.625)):
        write_json(two / f"scores/{run}/Good.json", {"scores": {"test": [{"hf_subset": "a", "main_score": score}]}})
    lines = diff_lines(diff_runs(two, "toyrun", two, "other"))
    assert any(
        "2 places in 2 steps -> 1 places in 1 steps; 1 tuples in both, 1 at the same place" in line for line in lines
    )
    assert "scores    Good: 50.00 -> 62.50 (+12.50)" in lines


def test_a_file_that_is_no_score_is_named_with_what_to_do(two):
    write_json(two / "scores/toyrun/Good.json", {"a": 1})
    with pytest.raises(InputError, match=r"toyrun/Good\.json: is no result of mteb's .*; delete it"):
        diff_runs(two, "toyrun", two, "other")


def test_a_run_that_is_named_like_a_variant_is_not_mixed_up_with_it():
    one = causes(chain("a", "0" * 8), [])
    assert one.same("results/curated/a-00000000/toy", 0) == "results/curated/a/toy"
    assert one.same("results/runs/a/plan.parquet", 0) == "results/runs/{run}/plan.parquet"
