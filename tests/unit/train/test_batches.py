"""The batch of a step, read back from plan, tuples and tokens."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from f2llm.records.errors import InputError
from f2llm.runs.run_file import read_run_file
from f2llm.train.batches import Batches, equal_positives
from f2llm.train.losses.batch_vectors import NO_PASSAGE


@pytest.fixture(scope="module")
def planned(toy, tmp_path_factory):
    run = toy.plan_toy(tmp_path_factory.mktemp("planned"), steps=9)
    return run, Batches(read_run_file(run), plan=run.with_name("plan.parquet"))


def test_candidates_are_the_positive_and_the_drawn_negatives(toy, planned):
    run, batches = planned
    plan = pq.read_table(run.with_name("plan.parquet")).to_pylist()
    home = run.parents[1]
    tokenizer = AutoTokenizer.from_pretrained(home / "model")
    for step in range(9):
        (batch,), rows = batches[step], [row for row in plan if row["step"] == step]
        tuples = pq.read_table(home / "tables" / batch.source / "tuples.parquet").to_pylist()
        corpus = pq.read_table(home / "tables" / batch.source / "corpus.parquet").to_pylist()
        queries = pq.read_table(home / "tables" / batch.source / "queries.parquet").to_pylist()
        passages = batch.sequences[len(rows) :]
        for slot, row in enumerate(rows):
            chosen = tuples[row["tuple_row"]]
            expected = [chosen["positive_row"], *(chosen["negative_rows"][place] for place in row["negatives"])]
            got = [tokenizer.decode(passages[place]) for place in batch.candidates_BK[slot]]
            assert got == [corpus[place]["text"] + "<eos>" for place in expected]
            query = tokenizer.decode(batch.sequences[slot])
            assert query.endswith(f"Query: {queries[chosen['query_row']]['text']}<eos>")
            assert batch.tuple_ids[slot] == row["tuple_id"].hex()


def test_every_distinct_passage_is_there_once(planned):
    for step in range(9):
        (batch,) = planned[1][step]
        passages = [tuple(sequence) for sequence in batch.sequences[len(batch.tuple_ids) :]]
        assert len(set(passages)) == len(passages)
        assert sorted(set(batch.candidates_BK.ravel()) - {NO_PASSAGE}) == list(range(len(passages)))


def test_two_classes_make_two_passages(planned):
    batch = next(
        batch
        for step in range(9)
        for batch in planned[1][step]
        if batch.source == "kinds" and len(batch.tuple_ids) == 4
    )
    assert batch.task == "classification"
    assert len(batch.sequences) == 4 + 2


def test_equal_positives_are_the_same_row_or_another_positive_of_the_query():
    positives = np.array([7, 8, 7, 9], np.int32)
    known = [np.array(rows, np.int32) for rows in ([7], [8, 9], [7], [9])]
    assert equal_positives(positives, known).tolist() == [
        [True, False, True, False],
        [False, True, False, True],
        [True, False, True, False],
        [False, False, False, True],
    ]


@pytest.mark.parametrize(
    "name", ["tables/pairs/tuples.parquet", "tokens/pairs/meta.json", "run/plan.parquet", "run/validation_plan.parquet"]
)
def test_files_that_changed_after_planning_are_refused(toy, tmp_path, name):
    run = toy.plan_toy(tmp_path)
    read_run_file(run)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b" ")
    with pytest.raises(InputError, match=f"{name}: changed since"):
        read_run_file(run)


def test_a_plan_of_many_row_groups_gives_the_same_batches(toy, tmp_path, monkeypatch):
    changes = {"steps": 9, "batches_per_step": 2}
    whole = toy.plan_toy(tmp_path / "whole", **changes)
    monkeypatch.setattr("f2llm.records.tables.ROWS_PER_GROUP", 5)
    cut = toy.plan_toy(tmp_path / "cut", **changes)
    assert pq.ParquetFile(cut.with_name("plan.parquet")).num_row_groups > 10
    ours, theirs = (Batches(read_run_file(run), plan=run.with_name("plan.parquet")) for run in (whole, cut))
    assert len(ours) == len(theirs) == 9
    for step in (8, 0, 3):
        assert [batch.tuple_ids for batch in ours[step]] == [batch.tuple_ids for batch in theirs[step]]
        assert len(ours[step]) == 2
