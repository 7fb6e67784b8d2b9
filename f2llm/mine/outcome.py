"""The two tables of the miner, and the count of what went where."""

import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.records.schemas import REJECTED, TUPLES
from f2llm.records.tables import write_table

GIVEN = "given"
MINED = "mined"
DRAWN = "drawn"
ROWS_AT_ONCE = 8192
logger = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A training tuple; the fields are the columns of TUPLES."""

    tuple_id: bytes
    query_id: bytes
    query_row: int
    positive_row: int
    positive_score: float | None
    negative_rows: list[int]
    negative_scores: list[float | None]
    negative_ranks: list[int | None]
    negative_kinds: list[str]


class Rejected(NamedTuple):
    """A (query, positive) pair that gives no tuple; the fields are the columns of REJECTED."""

    query_id: bytes
    positive_id: bytes | None
    reason: str
    candidates: int
    kept: int
    positive_score: float | None


class Paths(NamedTuple):
    """The tables that mining makes."""

    tuples: str | Path
    rejected: str | Path


class Outcome:
    """Collects tuples and rejected pairs of one source, and writes them in their defined orders.

    Rows are kept as Arrow columns, about 250 bytes a tuple.
    """

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self._waiting: dict[type[NamedTuple], list[NamedTuple]] = {Kept: [], Rejected: []}
        self._tables: dict[type[NamedTuple], list[pa.Table]] = {Kept: [], Rejected: []}

    def add(self, rows: Iterable[Kept | Rejected]) -> None:
        """Take rows, in any order."""
        for row in rows:
            kind = type(row)
            self.reasons[row.reason if isinstance(row, Rejected) else "ok"] += 1
            self._waiting[kind].append(row)
            if len(self._waiting[kind]) >= ROWS_AT_ONCE:
                self._pack(kind)

    def counts(self) -> dict[str, Any]:
        """Return tuples, rejected pairs and rejected pairs by reason."""
        reasons = {reason: count for reason, count in sorted(self.reasons.items()) if reason != "ok"}
        return {"tuples": self.reasons["ok"], "rejected": sum(reasons.values()), "rejected_by_reason": reasons}

    def write(self, paths: Paths, *, metadata: dict[str, str]) -> None:
        """Write both tables: tuples by tuple_id, rejected pairs by (query_id, positive_id)."""
        tuples, rejected = self._sorted(Kept, ["tuple_id"]), self._sorted(Rejected, ["query_id", "positive_id"])
        write_table(paths.tuples, schema=TUPLES, rows=[tuples], metadata=metadata)
        write_table(paths.rejected, schema=REJECTED, rows=[rejected], metadata=metadata)

    def _pack(self, kind: type[NamedTuple]) -> None:
        schema = TUPLES if kind is Kept else REJECTED
        rows, self._waiting[kind] = self._waiting[kind], []
        self._tables[kind].append(pa.Table.from_pylist([row._asdict() for row in rows], schema=schema))

    def _sorted(self, kind: type[NamedTuple], keys: list[str]) -> pa.Table:
        self._pack(kind)
        return pa.concat_tables(self._tables[kind]).sort_by([(key, "ascending") for key in keys])
