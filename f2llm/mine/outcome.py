"""The two tables of the miner, tuples and rejected pairs: collected in memory, counted, written in order."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from f2llm.records.schemas.mine import REJECTED, TUPLES
from f2llm.records.tables import read_batches, write_table

GIVEN = "given"
MINED = "mined"
DRAWN = "drawn"
OK = "ok"
ROWS_AT_ONCE = 8192


class UnscoredTuple(NamedTuple):
    """A training tuple made without a retriever, so without scores and ranks."""

    tuple_id: bytes
    query_id: bytes
    query_row: int
    positive_row: int
    negative_rows: list[int]
    kind: str  # of all its negatives


class RejectedPair(NamedTuple):
    """A (query, positive) pair that gives no tuple, without scores."""

    query_id: bytes
    positive_id: bytes | None
    reason: str
    candidates: int = 0
    kept: int = 0


class TuplePaths(NamedTuple):
    """The tables that mining makes."""

    tuples: str | Path
    rejected: str | Path


class MinedRows(NamedTuple):
    """Some rows of the two tables."""

    tuples: pa.Table
    rejected: pa.Table

    def __add__(self, other: "MinedRows") -> "MinedRows":
        return MinedRows(*(pa.concat_tables(pair) for pair in zip(self, other, strict=True)))

    @classmethod
    def of_kept(cls, **columns: Any) -> "MinedRows":  # noqa: ANN401 - anything that Arrow takes as a column
        """Tuples given by their columns."""
        return cls(_table(columns, TUPLES), REJECTED.empty_table())

    @classmethod
    def of_rejected(cls, **columns: Any) -> "MinedRows":  # noqa: ANN401 - anything that Arrow takes as a column
        """Rejected pairs given by their columns; counts are 0, scores and ranks null unless given."""
        rows = len(columns["query_id"])
        unscored = dict.fromkeys(("positive_score", "positive_rank"), [None] * rows)
        return cls(
            TUPLES.empty_table(),
            _table({"candidates": [0] * rows, "kept": [0] * rows} | unscored | columns, REJECTED),
        )

    @classmethod
    def of_rows(cls, rows: Iterable[UnscoredTuple | RejectedPair]) -> "MinedRows":
        """Tuples and rejected pairs that were made without a retriever."""
        rows = list(rows)
        kept = [row for row in rows if isinstance(row, UnscoredTuple)]
        lost = [row for row in rows if isinstance(row, RejectedPair)]
        nothing = [[None] * len(row.negative_rows) for row in kept]
        columns = {name: [getattr(row, name) for row in kept] for name in UnscoredTuple._fields if name != "kind"}
        columns |= {name: [None] * len(kept) for name in ("positive_score", "positive_rank")}
        columns |= {"negative_scores": nothing, "negative_ranks": nothing}
        columns["negative_kinds"] = [[row.kind] * len(row.negative_rows) for row in kept]
        rejected = {name: [getattr(row, name) for row in lost] for name in RejectedPair._fields}
        return cls.of_kept(**columns) + cls.of_rejected(**rejected)


class MiningOutcome:
    """All tuples and rejected pairs of one source, to be written in their defined orders.

    Rows are kept as Arrow columns, about 350 bytes a tuple of 24 negatives.
    """

    def __init__(self) -> None:
        self._tables: list[MinedRows] = []

    def add(self, mined: MinedRows) -> None:
        """Take rows, in any order."""
        self._tables.append(mined)

    def add_rows(self, rows: Iterable[UnscoredTuple | RejectedPair]) -> None:
        """Take rows that were made without a retriever, in any order."""
        waiting: list[UnscoredTuple | RejectedPair] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == ROWS_AT_ONCE:
                self.add(MinedRows.of_rows(waiting))
                waiting = []
        self.add(MinedRows.of_rows(waiting))

    def add_tables(self, paths: TuplePaths) -> None:
        """Take the tables that another job has written."""
        for batch in read_batches(paths.tuples):
            self.add(MinedRows(pa.Table.from_batches([batch]).cast(TUPLES), REJECTED.empty_table()))
        for batch in read_batches(paths.rejected):
            self.add(MinedRows(TUPLES.empty_table(), pa.Table.from_batches([batch]).cast(REJECTED)))

    @property
    def tuples(self) -> int:
        """Number of tuples."""
        return sum(len(mined.tuples) for mined in self._tables)

    def counts(self) -> dict[str, Any]:
        """Numbers of tuples, of rejected pairs, and of rejected pairs by reason."""
        reasons: Counter[str] = Counter()
        for mined in self._tables:
            for row in pc.value_counts(mined.rejected["reason"]).to_pylist():
                reasons[row["values"]] += row["counts"]
        by_reason = dict(sorted(reasons.items()))
        return {"tuples": self.tuples, "rejected": reasons.total(), "rejected_by_reason": by_reason}

    def write(self, paths: TuplePaths, *, metadata: dict[str, str]) -> None:
        """Write both tables: tuples by tuple_id, rejected pairs by (query_id, positive_id)."""
        tuples = self._sorted("tuples", TUPLES, ["tuple_id"])
        rejected = self._sorted("rejected", REJECTED, ["query_id", "positive_id"])
        write_table(paths.tuples, schema=TUPLES, rows=[tuples], metadata=metadata)
        write_table(paths.rejected, schema=REJECTED, rows=[rejected], metadata=metadata)

    def _sorted(self, name: str, schema: pa.Schema, keys: list[str]) -> pa.Table:
        tables = [schema.empty_table(), *(getattr(mined, name) for mined in self._tables)]
        return pa.concat_tables(tables).sort_by([(key, "ascending") for key in keys])


def _table(columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    return pa.table({field.name: _column(columns[field.name], field.type) for field in schema}, schema=schema)


def _column(values: Any, kind: pa.DataType) -> pa.Array:  # noqa: ANN401 - a list, numpy array or Arrow array
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)
