"""The two tables of the miner, tuples and rejected pairs: collected in memory, counted, written in order."""

from collections.abc import Iterable
from itertools import islice
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

    @classmethod
    def of_rows(cls, rows: Iterable[UnscoredTuple | RejectedPair]) -> "MinedRows":
        """Tuples and rejected pairs that were made without a retriever."""
        kept, lost = [], []
        for row in rows:
            if isinstance(row, RejectedPair):
                lost.append(row._asdict())
                continue
            nothing = [None] * len(row.negative_rows)
            kinds = [row.kind] * len(row.negative_rows)
            kept.append(
                {**row._asdict(), "negative_scores": nothing, "negative_ranks": nothing, "negative_kinds": kinds}
            )
        # Columns that a row lacks become null.
        return cls(pa.Table.from_pylist(kept, schema=TUPLES), pa.Table.from_pylist(lost, schema=REJECTED))


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
        rows = iter(rows)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            self.add(MinedRows.of_rows(some))

    def add_tables(self, paths: TuplePaths) -> None:
        """Take the tables that another job has written."""
        for batch in read_batches(paths.tuples):
            self.add(MinedRows(pa.Table.from_batches([batch]).cast(TUPLES), REJECTED.empty_table()))
        for batch in read_batches(paths.rejected):
            self.add(MinedRows(TUPLES.empty_table(), pa.Table.from_batches([batch]).cast(REJECTED)))

    def counts(self) -> dict[str, Any]:
        """Numbers of tuples, of rejected pairs, and of rejected pairs by reason."""
        rejected = self._all("rejected", REJECTED)
        reasons = pc.value_counts(rejected["reason"]).to_pylist()
        by_reason = dict(sorted((row["values"], row["counts"]) for row in reasons))
        return {"tuples": len(self._all("tuples", TUPLES)), "rejected": len(rejected), "rejected_by_reason": by_reason}

    def write(self, paths: TuplePaths, *, metadata: dict[str, str]) -> None:
        """Write both tables: tuples by tuple_id, rejected pairs by (query_id, positive_id)."""
        tuples = self._all("tuples", TUPLES).sort_by("tuple_id")
        rejected = self._all("rejected", REJECTED).sort_by([("query_id", "ascending"), ("positive_id", "ascending")])
        write_table(paths.tuples, schema=TUPLES, rows=[tuples], metadata=metadata)
        write_table(paths.rejected, schema=REJECTED, rows=[rejected], metadata=metadata)

    def _all(self, name: str, schema: pa.Schema) -> pa.Table:
        return pa.concat_tables([schema.empty_table(), *(getattr(mined, name) for mined in self._tables)])
