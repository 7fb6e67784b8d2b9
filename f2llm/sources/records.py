"""What adapters yield: one small record a text, each with the place it came from.

A place is (file, row, field): `file` as in "wheel!member", `row` the 0-based ordinal of the record
in that file (of the line where a file is code), `field` the column or element. Keys name passages
within one source; they never leave it.
"""

from typing import NamedTuple

QUERY = "query"
PASSAGE = "passage"


class Passage(NamedTuple):
    """A text that queries of a retrieval source may be answered by; `key` is how they name it."""

    key: str
    text: str
    file: str
    row: int
    field: str


class Query(NamedTuple):
    """A query of a retrieval source, or one mention of it: mentions of one text become one query.

    Rows of one `group` never straddle train, dev and test. At least one mention names a positive.
    """

    text: str
    positives: tuple[str, ...]  # keys of passages
    negatives: tuple[str, ...]  # keys of passages, hardest first
    group: str
    file: str
    row: int
    field: str
    later_negatives: tuple[str, ...] = ()  # as `negatives`, but after those of all rows with the same query


class Labelled(NamedTuple):
    """A text with its class, for classification and clustering."""

    text: str
    label: str
    group: str
    file: str
    row: int
    field: str
    label_field: str


class Pair(NamedTuple):
    """Two texts with a graded similarity (any unit, more is more alike), for sts."""

    text: str
    other: str
    grade: float
    group: str
    file: str
    row: int
    field: str
    other_field: str
    other_row: int  # differs from `row` where the two texts lie in different rows


class Skipped(NamedTuple):
    """A row that gives no record; `reason` is a short sentence, the same for the same cause."""

    reason: str
    file: str
    row: int
    role: str = QUERY
    count: int = 1  # rows of this file that it stands for, the first of them being `row`


Record = Passage | Query | Labelled | Pair | Skipped
