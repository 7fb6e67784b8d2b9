import numpy as np
import pyarrow as pa
import pytest

from f2llm.curate.ledger import Cause, Ledger
from f2llm.records.schemas.curate import REMOVED

IDS = pa.array([bytes([at]) * 16 for at in range(5)], pa.binary(16))


def test_a_row_is_removed_once():
    ledger = Ledger(3)
    ledger.remove(np.array([1]), Cause.EQUAL_TEXT, stand_in=np.array([0]))
    assert ledger.live.tolist() == [True, False, True]
    with pytest.raises(AssertionError, match="removed twice"):
        ledger.remove(np.array([0, 1]), Cause.NEAR_COPY)


def test_stand_ins_are_followed_to_the_last():
    ledger = Ledger(5)
    ledger.remove(np.array([3]), Cause.EQUAL_TEXT, stand_in=np.array([2]))
    ledger.remove(np.array([2]), Cause.NEAR_COPY, stand_in=np.array([0]))
    ledger.remove(np.array([4]), Cause.BEYOND_MAX_QUERIES)
    assert ledger.final().tolist() == [0, 1, 0, 0, 4]


def test_removed_rows_are_written_as_they_were_entered():
    ledger = Ledger(5)
    ledger.remove(
        np.array([3]), Cause.NEAR_COPY, stand_in=np.array([2]), similarity=np.array([0.5]), evidence={3: "insert"}
    )
    ledger.remove(np.array([1]), Cause.BEYOND_MAX_QUERIES)

    (table,) = ledger.batches(IDS, role="query")

    assert table.schema == REMOVED
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (b"\1" * 16, "query", "sample", "beyond max_queries", None, None, None),
        (b"\3" * 16, "query", "near", "near copy", b"\2" * 16, 0.5, "insert"),
    ]
    assert ledger.counts() == {"near": {"near copy": 1}, "sample": {"beyond max_queries": 1}}


def test_a_mirrored_removal_names_the_rows_of_its_own_table():
    ledger, other = Ledger(3), Ledger(4)
    other.remove(
        np.array([3]), Cause.NEAR_COPY, stand_in=np.array([1]), similarity=np.array([0.9]), evidence={3: "same"}
    )
    other.remove(np.array([2]), Cause.BEYOND_MAX_QUERIES)
    rows, other_rows = np.array([0, 1, 2]), np.array([3, 1, 0])  # the other's row 2 has no counterpart

    for _ in range(2):  # a second time changes nothing
        ledger.mirror(other, rows=rows, other_rows=other_rows)

    assert ledger.live.tolist() == [False, True, True]
    assert ledger.stand_in.tolist() == [1, -1, -1]
    assert ledger.evidence == {0: "same"}
    assert ledger.counts() == {"near": {"near copy": 1}}
