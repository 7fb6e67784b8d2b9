"""What every step sees: complete, keyed, and independent of how the rows arrive."""

from itertools import chain

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from f2llm.plan.figures import Figures
from f2llm.plan.order import ChosenTuples, cut_into_batches, draw_batch, draw_negatives, plan_steps
from f2llm.plan.plan import plan_rows, plan_run
from f2llm.plan.tuples import Tuples, split_rows
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file
from f2llm.records.ids import keyed_hash, tuple_id
from f2llm.records.schemas.mine import TUPLES
from f2llm.records.tables import read_metadata, write_table


def source(name, rows, *, negatives=5, order=None):
    order = np.array(order or range(rows))
    ids = [tuple_id(name, str(row).encode(), b"p") for row in order]
    queries = [tuple_id(name, str(row // 2).encode(), b"q") for row in order]  # two tuples a query
    return Tuples(
        name=name,
        ids=np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 16),
        query_ids=np.frombuffer(b"".join(queries), np.uint8).reshape(-1, 16),
        query_rows=np.arange(rows, dtype=np.int32),
        positive_rows=np.arange(rows, dtype=np.int32),
        negative_rows=np.arange(rows * negatives, dtype=np.int32) % rows,
        negative_starts=np.arange(rows + 1, dtype=np.int64) * negatives,
        query_tokens=np.full(rows, 3, np.int32),
        passage_tokens=np.full(rows, 10, np.int32),
    )


@pytest.fixture
def planned(toy):
    def plan(sources, *, seed=0, **train):
        parts = [ChosenTuples(found, np.arange(len(found.ids))) for found in sources]
        return list(plan_steps(parts, settings=toy.settings(**({"batch_size": 4} | train)).train, seed=seed))

    return plan


def batches(steps):
    return list(chain.from_iterable(steps))


def rows_of(steps):
    return [batch.rows.tolist() for batch in batches(steps)]


def ids_of(steps, sources):
    by_name = {found.name: found for found in sources}
    return [(b.source, [by_name[b.source].id_of(row) for row in b.rows]) for b in batches(steps)]


def test_an_epoch_sees_every_tuple_of_every_source_once_by_size(planned):
    made = batches(planned([source("big", 40), source("small", 9)], epochs=1))
    assert [batch.source for batch in made].count("big") == 10
    assert [batch.source for batch in made].count("small") == 3
    for name, rows in (("big", 40), ("small", 9)):
        seen = sorted(row for batch in made if batch.source == name for row in batch.rows)
        assert seen == list(range(rows))
    assert {batch.epoch for batch in made} == {0}


def test_batches_of_sources_are_mixed_not_one_source_after_the_other(planned):
    names = [batch.source for batch in batches(planned([source("a", 80), source("b", 80)], steps=40))]
    assert names != sorted(names)
    assert names != sorted(names, reverse=True)


def test_when_the_tuples_run_out_another_epoch_with_another_order_follows(planned):
    made = batches(planned([source("a", 16)], steps=10))
    assert [batch.epoch for batch in made] == [0] * 4 + [1] * 4 + [2] * 2
    assert [b.rows.tolist() for b in made[:4]] != [b.rows.tolist() for b in made[4:8]]


@pytest.mark.parametrize(("steps", "epochs", "expected"), [(3, None, 3), (None, 1, 4), (None, 2, 8)])
def test_steps_or_epochs_set_the_length(planned, steps, epochs, expected):
    assert len(planned([source("a", 16)], steps=steps, epochs=epochs)) == expected


def test_several_batches_can_make_a_step_and_the_last_step_may_have_fewer(planned):
    made = planned([source("a", 16), source("b", 4)], epochs=1, batches_per_step=3)
    assert [len(step) for step in made] == [3, 2]


@pytest.mark.parametrize(
    ("rows", "partial", "sizes"),
    [
        (3, "even", [3]),
        (4, "even", [4]),
        (7, "even", [4, 3]),
        (9, "even", [3, 3, 3]),
        (0, "even", []),
        (3, "repeat", [4]),
        (4, "repeat", [4]),
        (7, "repeat", [4, 4]),
    ],
)
def test_what_fills_no_whole_batch_is_shared_out_or_filled_up_from_the_first_rows(rows, partial, sizes):
    made = cut_into_batches(np.arange(rows), batch_size=4, partial=partial)
    assert [len(batch) for batch in made] == sizes
    assert [int(row) for batch in made for row in batch] == [*range(rows), *range(sum(sizes) - rows)]


@given(st.integers(0, 400), st.integers(1, 40))
def test_shared_out_batches_hold_every_row_once_and_are_alike(rows, size):
    made = cut_into_batches(np.arange(rows), batch_size=size, partial="even")
    sizes = {len(batch) for batch in made}
    assert [int(row) for batch in made for row in batch] == list(range(rows))
    assert len(made) == -(-rows // size)
    assert not sizes or (max(sizes) <= size and max(sizes) - min(sizes) <= 1)


def test_the_plan_does_not_depend_on_the_order_of_rows_or_sources(planned):
    straight = [source("a", 20), source("b", 9)]
    turned = [source("b", 9, order=[*range(8, -1, -1)]), source("a", 20, order=[*range(10, 20), *range(10)])]
    assert ids_of(planned(straight, steps=15), straight) == ids_of(planned(turned, steps=15), turned)


def test_a_longer_plan_begins_like_a_shorter_one_and_the_seed_changes_it(planned):
    sources = [source("a", 20), source("b", 9)]
    assert rows_of(planned(sources, steps=15))[:6] == rows_of(planned(sources, steps=6))
    assert rows_of(planned(sources, steps=6, seed=1)) != rows_of(planned(sources, steps=6))


@given(st.integers(2, 60), st.floats(0.05, 0.5), st.integers(0, 3))
def test_held_out_queries_are_whole_and_their_choice_is_keyed(rows, share, seed):
    straight, turned = source("a", rows), source("a", rows, order=[*range(rows - 1, -1, -1)])
    trained, held = split_rows(straight, share=share, seed=seed)
    assert sorted([*trained, *held]) == list(range(rows))
    ours, theirs = (
        {found.query_ids[row].tobytes() for row in part} for found, part in ((straight, trained), (straight, held))
    )
    assert not ours & theirs
    other = split_rows(turned, share=share, seed=seed)[1]
    assert [straight.id_of(row) for row in held] == [turned.id_of(row) for row in other]


def test_about_the_asked_share_of_queries_is_held_out():
    trained, held = split_rows(source("a", 4000), share=0.1, seed=0)
    assert abs(len(held) - 400) <= 140  # 5 standard deviations of 2,000 queries, two tuples each
    assert len(split_rows(source("a", 40), share=0.0, seed=0)[1]) == 0


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 3), st.integers(0, 3))
def test_drawn_negatives_are_distinct_positions(available, count, seed, epoch):
    drawn = draw_negatives(available, count=count, seed=seed, key=(epoch, b"t" * 16))
    assert len(drawn) == len(set(drawn)) == min(count, available)
    assert all(0 <= position < available for position in drawn)


def test_every_negative_is_drawn_about_equally_often_and_anew_each_epoch():
    times = np.zeros(5, int)
    for row in range(1000):
        times[draw_negatives(5, count=2, seed=0, key=(0, str(row)))] += 1
    assert abs(times - 400).max() <= 80  # 5 standard deviations of a binomial (1000, 0.4)
    draws = {tuple(draw_negatives(5, count=2, seed=0, key=(epoch, b"t"))) for epoch in range(20)}
    assert len(draws) > 5


@pytest.mark.parametrize(("drawn", "different"), [("per_tuple", True), ("per_batch", False)])
def test_negatives_are_drawn_for_each_tuple_or_once_for_a_batch(planned, toy, drawn, different):
    found = source("a", 16)
    settings = toy.settings(negatives=3, negatives_drawn=drawn).train
    made = [draw_batch(batch, found, settings=settings, seed=0) for batch in batches(planned([found], epochs=1))]
    assert any(len(set(map(tuple, rows))) > 1 for rows in made) == different
    assert len({tuple(rows[0]) for rows in made}) > 1


def test_rows_are_sorted_by_step_and_slot_and_carry_draw_and_tokens(planned, toy):
    found = source("a", 8)
    settings = toy.settings(batch_size=4, negatives=2, batches_per_step=2)
    figures = Figures(settings.train)
    (table,) = plan_rows(
        planned([found], epochs=3, batches_per_step=2), {"a": found}, settings=settings, figures=figures
    )
    places = zip(*(table[name].to_pylist() for name in ("step", "batch", "slot")), strict=True)
    assert list(places) == [(step, slot // 4, slot) for step in range(3) for slot in range(8)]
    for row in table.to_pylist():
        start = found.negative_starts[row["tuple_row"]]
        assert row["tuple_id"] == found.id_of(row["tuple_row"])
        assert row["query_row"] == row["positive_row"] == row["tuple_row"]
        assert row["negative_rows"] == [found.negative_rows[start + place] for place in row["negatives"]]
        assert row["tokens"] == 3 + 10 * 3


def test_figures_count_what_is_computed_and_what_padding_would_cost(toy):
    figures = Figures(toy.settings(negatives=2).train)
    found = source("a", 4)
    # Two tuples that share the negative 3: passages 0, 1, 2, 3; padded: 2 x (query, positive, 2 negatives) x 10.
    lengths = figures.add(0, np.array([0, 1]), [np.array([2, 3], np.int32), np.array([3, 2], np.int32)], tuples=found)
    assert lengths == [33, 33]
    counts = figures.counts()
    assert (counts["steps"], counts["rows"], counts["tokens"], counts["padded_tokens"]) == (1, 2, 6 + 40, 80)
    assert counts["longest_sequence"] == 10
    assert counts["balance"]["2"] == 1.0  # 10 + 10 + 3 on either side
    assert counts["balance"]["8"] == pytest.approx(10 * 8 / 46, abs=1e-4)


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
        "plan": tmp_path / "plan.parquet", "validation": tmp_path / "validation_plan.parquet", "run": tmp_path / "run.json",
    }  # fmt: skip


def test_a_source_without_tuples_stops_the_run(with_an_empty_source):
    with pytest.raises(InputError, match="source topics: no tuples"):
        plan_run(**with_an_empty_source, may_skip=False)
    assert not with_an_empty_source["run"].exists()


def test_a_skipped_source_is_left_out_and_said_so(with_an_empty_source, caplog):
    counts = plan_run(**with_an_empty_source, may_skip=True)
    assert counts["left_out"] == ["topics"]
    assert read_json(with_an_empty_source["run"])["left_out"] == {"topics": "no tuples; loosen `mine`"}
    assert "source topics is left out: no tuples; loosen `mine`" in caplog.text


def test_the_plan_says_why_a_stage_before_skipped_a_source(with_an_empty_source, toy, caplog):
    path = with_an_empty_source["tuples"]["topics"]
    about = read_metadata(path) | {"skipped": "HTTP 404"}
    write_table(path, schema=TUPLES, rows=[], metadata=about)
    plan_run(**with_an_empty_source, may_skip=True)
    assert read_json(with_an_empty_source["run"])["left_out"] == {"topics": "HTTP 404"}
    assert "source topics is left out: HTTP 404" in caplog.text


def test_a_run_of_which_every_source_was_skipped_is_refused_with_each_reason(with_an_empty_source, toy):
    settings = toy.settings(sources={"topics": "clustering"})
    write_table(with_an_empty_source["tuples"]["topics"], schema=TUPLES, rows=[], metadata={"skipped": "HTTP 404"})
    with pytest.raises(InputError, match="source topics: HTTP 404; no source has tuples to train on"):
        plan_run(**with_an_empty_source | {"settings": settings}, may_skip=True)


HELD_OUT = {"validation": {"share": 0.5}, "sources": {"pairs": "retrieval", "topics": "clustering"}}


@pytest.fixture
def with_a_source_held_out(with_an_empty_source, toy, tmp_path):
    """Return the arguments of plan_run for a run of which the one tuple of source topics is held out."""

    def plan(**changes):
        settings = toy.settings(**HELD_OUT | changes)
        return with_an_empty_source | {"settings": settings}

    home = tmp_path / "tables" / "topics"
    corpus, rows = (pq.read_table(home / f"{name}.parquet").to_pylist() for name in ("corpus", "queries"))
    held = min(rows, key=lambda row: keyed_hash(0, "validation", row["query_id"]))
    toy.write_tuples(home / "tuples.parquet", name="topics", corpus=corpus, queries=[held], negatives=3)
    return plan


def test_a_source_of_which_everything_is_held_out_is_left_out_and_said_so(with_a_source_held_out, caplog):
    counts = plan_run(**with_a_source_held_out(), may_skip=True)
    assert counts["left_out"] == ["topics"]
    assert counts["tuples"].keys() == counts["held_out"].keys() == {"pairs"}
    assert "source topics is left out: all its 1 tuples are held out; lower train.validation.share" in caplog.text
    with pytest.raises(InputError, match="source topics: all its 1 tuples are held out; .* or take it out"):
        plan_run(**with_a_source_held_out(), may_skip=False)


def test_a_run_without_anything_to_train_on_is_refused(with_a_source_held_out):
    with pytest.raises(InputError, match="source topics: all its 1 tuples are held out; .* no source has tuples to"):
        plan_run(**with_a_source_held_out(sources={"topics": "clustering"}), may_skip=True)


def test_held_out_tuples_are_in_the_other_plan_only(toy, tmp_path):
    run = toy.plan_toy(tmp_path, epochs=1, validation={"share": 0.3, "most": 2})
    trained = pq.read_table(run.with_name("plan.parquet")).to_pylist()
    held = pq.read_table(run.with_name("validation_plan.parquet")).to_pylist()
    assert held
    assert not {row["tuple_id"] for row in trained} & {row["tuple_id"] for row in held}
    assert {row["epoch"] for row in held} == {-1}
    assert all(sum(row["source"] == name for row in held) <= 2 for name in toy.SOURCES)
    assert read_json(run)["steps"] == max(row["step"] for row in trained) + 1


def test_tuples_of_other_texts_than_the_tokens_are_refused(with_an_empty_source, toy, tmp_path):
    home = tmp_path / "tables" / "pairs"
    passages, queries = toy.toy_texts("retrieval")
    corpus, rows = toy.write_curated(home, passages=passages, queries=queries)
    stamp = {"corpus_sha256": "0" * 64, "queries_sha256": sha256_file(home / "queries.parquet")}
    toy.write_tuples(home / "tuples.parquet", name="pairs", corpus=corpus, queries=rows, negatives=3, metadata=stamp)
    with pytest.raises(InputError, match="source pairs: corpus_sha256 of tuples and tokens differ"):
        plan_run(**with_an_empty_source, may_skip=True)
