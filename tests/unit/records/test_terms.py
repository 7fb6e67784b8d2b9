"""Tables of a value a row, and those with a column a term that runs made before they were long."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.schemas.train import METRICS, VALIDATION
from f2llm.records.tables import write_table
from f2llm.records.terms import long_form, read_terms

OLD_METRICS = pa.table(
    {
        "step": pa.array([0, 0, 1], pa.int32()),
        "batch": pa.array([0, 1, 0], pa.int16()),
        "source": ["pairs", "kinds", "pairs"],
        "loss": [3.0, 1.0, 2.5],
        "loss_hard": [1.0, 1.0, 0.5],
        "loss_in_batch": [2.0, None, 2.0],
        "tokens": pa.array([30, 10, 31], pa.int64()),
    }
)
NEW_METRICS = [
    (0, 0, "pairs", "loss", 3.0),
    (0, 0, "pairs", "loss_hard", 1.0),
    (0, 0, "pairs", "loss_in_batch", 2.0),
    (0, 0, "pairs", "tokens", 30.0),
    (0, 1, "kinds", "loss", 1.0),
    (0, 1, "kinds", "loss_hard", 1.0),
    (0, 1, "kinds", "tokens", 10.0),
    (1, 0, "pairs", "loss", 2.5),
    (1, 0, "pairs", "loss_hard", 0.5),
    (1, 0, "pairs", "loss_in_batch", 2.0),
    (1, 0, "pairs", "tokens", 31.0),
]


def rows(table):
    return [tuple(row.values()) for row in table.to_pylist()]


def test_a_column_a_term_becomes_a_row_a_value_and_a_null_becomes_none():
    table = long_form(OLD_METRICS, schema=METRICS)
    assert rows(table) == NEW_METRICS
    assert table.schema == METRICS


def test_held_out_losses_are_sorted_by_step_source_and_term():
    old = pa.table({"step": [2, 0, 0], "source": ["a", "b", "a"], "loss": [1.0, 2.0, 3.0], "tuples": [7, 8, 7]})
    assert rows(long_form(old, schema=VALIDATION)) == [
        (0, "a", "loss", 3.0), (0, "a", "tuples", 7.0),
        (0, "b", "loss", 2.0), (0, "b", "tuples", 8.0),
        (2, "a", "loss", 1.0), (2, "a", "tuples", 7.0),
    ]  # fmt: skip


def test_a_long_table_stays_as_it_is():
    table = long_form(OLD_METRICS, schema=METRICS)
    assert long_form(table, schema=METRICS) is table


def test_nothing_noted_is_an_empty_table():
    assert long_form(pa.table({}), schema=METRICS) == METRICS.empty_table()


def test_a_count_that_float64_cannot_hold_is_refused():
    with pytest.raises(pa.ArrowInvalid):
        long_form(pa.table({"step": [0], "source": ["a"], "tuples": [2**53 + 1]}), schema=VALIDATION)


@pytest.mark.parametrize("form", ["old", "new"])
def test_terms_are_read_from_either_form(form, tmp_path):
    if form == "old":
        pq.write_table(OLD_METRICS, tmp_path / "m.parquet")
    else:
        write_table(tmp_path / "m.parquet", schema=METRICS, rows=[long_form(OLD_METRICS, schema=METRICS)])
    found = read_terms(tmp_path / "m.parquet", ["tokens", "loss_in_batch", "loss_unknown"], schema=METRICS)
    assert list(found) == ["step", "batch", "source", "tokens", "loss_in_batch", "loss_unknown"]
    assert (found["step"].tolist(), found["batch"].tolist()) == ([0, 0, 1], [0, 1, 0])
    assert found["source"].tolist() == ["pairs", "kinds", "pairs"]
    assert found["tokens"].tolist() == [30.0, 10.0, 31.0]
    assert [None if math.isnan(value) else value for value in found["loss_in_batch"]] == [2.0, None, 2.0]
    assert all(math.isnan(value) for value in found["loss_unknown"])


def test_an_empty_table_has_empty_terms(tmp_path):
    write_table(tmp_path / "v.parquet", schema=VALIDATION, rows=[])
    found = read_terms(tmp_path / "v.parquet", ["loss"], schema=VALIDATION)
    assert {name: values.tolist() for name, values in found.items()} == {"step": [], "source": [], "loss": []}
