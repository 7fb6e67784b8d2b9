"""Removed rows with their causes: one entry a row, so that rows in = rows out + rows removed by construction."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.curate.rows import Ints, Mask
from f2llm.records.schemas.curate import REMOVED
from f2llm.records.tables import NO_ROW

ROWS_PER_BATCH = 65_536
KEPT = 0


class Cause(Enum):
    """Stage and reason of a removal, as they stand in removed.parquet."""

    HELD_OUT_QUERY = "split", "equal to a held-out query"
    NO_TRAINING_TEXT = "split", "not the text of a training row"
    EQUAL_TEXT = "exact", "equal text"
    CONTRADICTION = "exact", "equal texts with different labels"
    EARLIER_SOURCE = "across", "equal to a query of an earlier source"
    NEAR_COPY = "near", "near copy"
    CONTAMINATED = "decontaminate", "found in the evaluation texts"
    POSITIVES_CONTAMINATED = "decontaminate", "all its positives are found in the evaluation texts"
    NO_POSITIVE = "positive", "no positive"
    EQUAL_POSITIVE = "positive", "equal to its only positive"
    BEYOND_MAX_QUERIES = "sample", "beyond max_queries"
    BEYOND_MAX_PASSAGES = "sample", "beyond max_passages"

    def __init__(self, stage: str, reason: str) -> None:
        self.stage, self.reason = stage, reason


CAUSES = tuple(Cause)


class Ledger:
    """The fate of every row of one table: kept, or removed once, for one cause.

    Arrays by row: `cause` (0 kept, else 1 + position in CAUSES), `stand_in` (row kept in its
    place, -1 none), `similarity` (0..1, NaN none). 13 bytes a row, plus the evidence of hits.
    """

    def __init__(self, rows: int) -> None:
        self.cause = np.zeros(rows, np.uint8)
        self.stand_in = np.full(rows, NO_ROW, np.int64)
        self.similarity = np.full(rows, np.nan, np.float32)
        self.evidence: dict[int, str] = {}

    @property
    def live(self) -> Mask:
        """A mask [rows] of what is still kept."""
        return self.cause == KEPT

    def remove(
        self,
        rows: Ints,
        cause: Cause,
        *,
        stand_in: Ints | None = None,
        similarity: NDArray | None = None,
        evidence: Mapping[int, str] | None = None,
    ) -> None:
        """Remove distinct live `rows`; the other arrays are aligned with them, `evidence` is by row."""
        if not self.live[rows].all():
            raise AssertionError(f"{cause}: a row is removed twice")
        self.cause[rows] = 1 + CAUSES.index(cause)
        if stand_in is not None:
            self.stand_in[rows] = stand_in
        if similarity is not None:
            self.similarity[rows] = similarity
        self.evidence.update(evidence or {})

    def mirror(self, other: "Ledger", *, rows: Ints, other_rows: Ints) -> None:
        """Remove here what `other` has removed, for tables whose rows are the same texts.

        `rows` and `other_rows` are aligned and each distinct: the same text here and there.
        """
        row_of = np.full(len(other.cause) + 1, NO_ROW, np.int64)  # one more, so that NO_ROW maps to itself
        row_of[other_rows] = rows
        newly_removed = other_rows[~other.live[other_rows] & self.live[rows]]
        for code in np.unique(other.cause[newly_removed]):
            removed = newly_removed[other.cause[newly_removed] == code]
            evidence = {row: other.evidence[row] for row in removed.tolist() if row in other.evidence}
            self.remove(
                row_of[removed],
                CAUSES[code - 1],
                stand_in=row_of[other.stand_in[removed]],
                similarity=other.similarity[removed],
                evidence={int(row_of[row]): text for row, text in evidence.items()},
            )

    def final(self) -> Ints:
        """For every row the row that stands in for it at last; itself if kept or lost."""
        target = np.where(self.stand_in == NO_ROW, np.arange(len(self.cause)), self.stand_in)
        # A stand-in may be removed by a later stage for another; following the chain in steps that double is short.
        while True:
            following = target[target]
            if np.array_equal(following, target):
                return target
            target = following

    def counts(self) -> dict[str, dict[str, int]]:
        """Stage -> reason -> rows removed."""
        removed = Counter(self.cause[self.cause != KEPT].tolist())
        nested: dict[str, dict[str, int]] = {}
        for code, cause in enumerate(CAUSES, start=1):
            if removed[code]:
                nested.setdefault(cause.stage, {})[cause.reason] = removed[code]
        return nested

    def batches(self, ids: pa.Array, *, role: str) -> Iterator[pa.Table]:
        """Yield the removed rows as tables of schema REMOVED, in row order."""
        gone = np.flatnonzero(~self.live)
        for start in range(0, len(gone), ROWS_PER_BATCH):
            rows = gone[start : start + ROWS_PER_BATCH]
            causes = [CAUSES[code - 1] for code in self.cause[rows].tolist()]
            stand_in, similarity = self.stand_in[rows], self.similarity[rows]
            columns = {
                "id": ids.take(pa.array(rows)),
                "role": pa.repeat(role, len(rows)),
                "stage": pa.array([cause.stage for cause in causes], pa.string()),
                "reason": pa.array([cause.reason for cause in causes], pa.string()),
                "kept_id": ids.take(pa.array(stand_in, mask=stand_in == NO_ROW)),
                "similarity": pa.array(similarity, mask=np.isnan(similarity)),
                "evidence": pa.array([self.evidence.get(row) for row in rows.tolist()], pa.string()),
            }
            yield pa.table(columns).cast(REMOVED)
