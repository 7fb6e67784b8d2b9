"""What every step sees: complete, keyed, and independent of how the rows arrive."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from f2llm.errors import InputError
from f2llm.records.files import read_json, sha256_file
from f2llm.records.ids import tuple_id
from f2llm.train.plan import Tuples, draw_negatives, plan_rows, plan_run, plan_steps


def source(name, rows, *, negatives=5, order=None):
    ids = [tuple_id(name, str(row).encode(), b"p") for row in (order or range(rows))]
    return Tuples(name=name, ids=tuple(ids), negatives=np.full(rows, negatives))


def planned(sources, *, steps, batch_size=4, seed=0):
    return list(plan_steps(sources, steps=steps, batch_size=batch_size, seed=seed))


def ids_of(steps, sources):
    by_name = {found.name: found for found in sources}
    return [(step.source, [by_name[step.source].ids[row] for row in step.rows]) for step in steps]


def test_an_epoch_sees_every_full_batch_of_every_source_once_by_size():
    sources = [source("big", 40), source("small", 8)]
    steps = planned(sources, steps=12)
    assert [step.source for step in steps].count("big") == 10
    assert [step.source for step in steps].count("small") == 2
    for name, rows in (("big", 40), ("small", 8)):
        seen = sorted(row for step in steps if step.source == name for row in step.rows)
        assert seen == list(range(rows))
    assert {step.epoch for step in steps} == {0}


def test_batches_of_sources_are_mixed_not_one_source_after_the_other():
    names = [step.source for step in planned([source("a", 80), source("b", 80)], steps=40)]
    assert names != sorted(names)
    assert names != sorted(names, reverse=True)


def test_when_the_tuples_run_out_another_epoch_with_another_order_follows():
    sources = [source("a", 16)]
    steps = planned(sources, steps=10)
    assert [step.epoch for step in steps] == [0] * 4 + [1] * 4 + [2] * 2
    assert [step.rows for step in steps[:4]] != [step.rows for step in steps[4:8]]


@pytest.mark.parametrize(("rows", "sizes"), [(3, [3]), (4, [4]), (7, [4]), (8, [4, 4])])
def test_a_partial_batch_is_used_only_by_a_source_without_a_full_one(rows, sizes):
    steps = planned([source("a", rows)], steps=len(sizes))
    assert [len(step.rows) for step in steps] == sizes
    assert {step.epoch for step in steps} == {0}


def test_the_plan_does_not_depend_on_the_order_of_rows_or_sources():
    straight = [source("a", 20), source("b", 9)]
    turned = [source("b", 9, order=[*range(8, -1, -1)]), source("a", 20, order=[*range(10, 20), *range(10)])]
    assert ids_of(planned(straight, steps=15), straight) == ids_of(planned(turned, steps=15), turned)


def test_a_longer_plan_begins_like_a_shorter_one_and_the_seed_changes_it():
    sources = [source("a", 20), source("b", 9)]
    assert planned(sources, steps=15)[:6] == planned(sources, steps=6)
    assert planned(sources, steps=6, seed=1) != planned(sources, steps=6)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 3), st.integers(0, 3))
def test_drawn_negatives_are_distinct_positions(available, count, seed, epoch):
    drawn = draw_negatives(available, count=count, seed=seed, epoch=epoch, tuple_id=b"t" * 16)
    assert len(drawn) == len(set(drawn)) == min(count, available)
    assert all(0 <= position < available for position in drawn)


def test_every_negative_is_drawn_about_equally_often_and_anew_each_epoch():
    times = np.zeros(5, int)
    for row in range(1000):
        drawn = draw_negatives(5, count=2, seed=0, epoch=0, tuple_id=str(row).encode())
        times[drawn] += 1
    assert abs(times - 400).max() <= 80  # 5 standard deviations of a binomial (1000, 0.4)
    draws = {tuple(draw_negatives(5, count=2, seed=0, epoch=epoch, tuple_id=b"t")) for epoch in range(20)}
    assert len(draws) > 5


def test_rows_are_sorted_by_step_and_slot_and_carry_the_draw():
    sources = [source("a", 8)]
    steps = planned(sources, steps=3)
    (table,) = plan_rows(steps, sources, negatives=2, seed=0)
    assert list(zip(table["step"].to_pylist(), table["slot"].to_pylist(), strict=True)) == [
        (step, slot) for step in range(3) for slot in range(4)
    ]
    first = table.to_pylist()[0]
    assert first["tuple_id"] == sources[0].ids[first["tuple_row"]]
    assert first["negatives"] == draw_negatives(5, count=2, seed=0, epoch=0, tuple_id=first["tuple_id"])


def test_run_json_carries_settings_variants_and_hashes(toy, tmp_path):
    run = toy.plan_toy(tmp_path)
    content = read_json(run)
    assert content["settings"]["train"]["batch_size"] == 4
    assert content["plan_sha256"] == sha256_file(run.with_name("plan.parquet"))
    assert [entry["name"] for entry in content["sources"]] == ["kinds", "pairs", "topics"]
    assert all(entry["tuples_sha256"] == sha256_file(entry["tuples"]) for entry in content["sources"])


def test_a_binary_class_has_one_negative_and_others_as_many_as_asked_for(toy, tmp_path):
    rows = pq.read_table(toy.plan_toy(tmp_path, steps=9).with_name("plan.parquet")).to_pylist()
    counts = {row["source"]: len(row["negatives"]) for row in rows}
    assert counts == {"kinds": 1, "pairs": 2, "topics": 2}


def test_too_few_negatives_name_source_and_tuple(toy, tmp_path):
    toy.plan_toy(tmp_path / "enough", negatives=3)
    with pytest.raises(
        InputError, match=r"source pairs: 12 tuples have fewer than 4 negatives, the first is [0-9a-f]{32}"
    ):
        toy.plan_toy(tmp_path / "more", negatives=4)


def test_a_loss_without_a_term_for_a_source_is_refused(toy, tmp_path):
    with pytest.raises(InputError, match="source topics: no term"):
        toy.plan_toy(tmp_path, losses=[{"term": "in_batch", "weight": 1.0}])


@pytest.fixture
def with_an_empty_source(toy, tmp_path):
    """Return the arguments of plan_run for a toy run of which source topics has lost its tuples."""
    toy.plan_toy(tmp_path)
    home = tmp_path / "tables" / "topics"
    toy.write_tuples(home / "tuples.parquet", name="topics", corpus=[], queries=[], negatives=1)
    return {
        "tuples": {name: tmp_path / "tables" / name / "tuples.parquet" for name in toy.SOURCES},
        "tokens": {name: tmp_path / "tokens" / name / "meta.json" for name in toy.SOURCES},
        "backbone_folder": tmp_path / "model", "settings": toy.settings(), "variants": {},
        "plan": tmp_path / "plan.parquet", "run": tmp_path / "run.json",
    }  # fmt: skip


def test_a_source_without_tuples_stops_the_run(with_an_empty_source):
    with pytest.raises(InputError, match="source topics: no tuples"):
        plan_run(**with_an_empty_source, may_skip=False)
    assert not with_an_empty_source["run"].exists()


def test_a_skipped_source_is_left_out_and_said_so(with_an_empty_source, caplog):
    counts = plan_run(**with_an_empty_source, may_skip=True)
    assert counts["left_out"] == ["topics"]
    assert read_json(with_an_empty_source["run"])["left_out"] == ["topics"]
    assert "source topics has no tuples" in caplog.text


def test_dropped_rows_are_counted(with_an_empty_source, toy):
    with_an_empty_source["settings"] = toy.settings(batch_size=5)
    counts = plan_run(**with_an_empty_source, may_skip=True)
    assert counts["dropped_per_epoch"] == {"kinds": 2, "pairs": 2}
    assert counts["tuples"] == 24


def test_tuples_of_other_texts_than_the_tokens_are_refused(with_an_empty_source, toy, tmp_path):
    home = tmp_path / "tables" / "pairs"
    passages, queries = toy.toy_texts("retrieval")
    corpus, rows = toy.write_curated(home, passages=passages, queries=queries)
    stamp = {"corpus_sha256": "0" * 64, "queries_sha256": sha256_file(home / "queries.parquet")}
    toy.write_tuples(home / "tuples.parquet", name="pairs", corpus=corpus, queries=rows, negatives=3, metadata=stamp)
    with pytest.raises(InputError, match="source pairs: corpus_sha256 of tuples and tokens differ"):
        plan_run(**with_an_empty_source, may_skip=True)
