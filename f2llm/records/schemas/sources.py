"""Tables of a normalised source."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.records.tables import ID

# sources/{source}/corpus.parquet and curated/...; sorted by doc_id.
CORPUS = pa.schema(
    [
        pa.field("doc_id", ID, nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("content_key", pa.string(), nullable=False),  # E1 key, 32 hex digits
    ]
)
# sources/{source}/queries.parquet and curated/...; sorted by query_id. One row per query text; for sts one row per
# pair: text = first text, positives = [the second], query_id = that of "first U+001F second", so that no grade is lost.
QUERIES = pa.schema(
    [
        pa.field("query_id", ID, nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("positives", pa.list_(ID), nullable=False),  # doc_ids, sorted, distinct
        pa.field("negatives", pa.list_(ID), nullable=False),  # doc_ids given by the source, in its order
        pa.field("label", pa.string()),  # class, for classification and clustering
        pa.field("grade", pa.float32()),  # graded similarity, for STS
        pa.field("group", pa.string(), nullable=False),  # rows of one group never straddle splits
        pa.field("split", pa.string(), nullable=False),  # train | dev | test, by hash of the group
    ]
)
# sources/{source}/origins.parquet; sorted by (file, row, field, id). Every place an id came from.
ORIGINS = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # "archive!member" for members
        pa.field("row", pa.int64(), nullable=False),  # 0-based ordinal in the file
        pa.field("field", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),  # query | passage
        pa.field("id", ID, nullable=False),
    ]
)
# In the metadata of the tables of a source that was skipped, from these to its tuples: why. So in its manifest.
SKIPPED = "skipped"


class SkippedSource(NamedTuple):
    """A source that a run went on without."""

    source: str
    reason: str  # one line
    queries: int | None  # that its stanza states (`expected`)


class SkippedSources(NamedTuple):
    """All sources that a run went on without, of how many."""

    of: int = 0
    missing: float | None = (
        None  # their share of the queries that stanzas of trained sources state; None: none states any
    )
    sources: tuple[SkippedSource, ...] = ()

    def summary(self) -> str:
        """How many, which, and how much is missing, in one sentence; "" if none was skipped."""
        if not self.sources:
            return ""
        names = ", ".join(source.source for source in self.sources)
        share = (
            "" if self.missing is None else f"; {self.missing:.1%} of the queries that the stanzas state are missing"
        )
        verb = "was" if len(self.sources) == 1 else "were"
        return f"{len(self.sources)} of {self.of} sources {verb} skipped: {names}{share}"

    def lines(self) -> list[str]:
        """The summary, and a line for each source with its reason; none if none was skipped."""
        return [line for line in (self.summary(), *(f"{one.source}: {one.reason}" for one in self.sources)) if line]

    def as_json(self) -> dict[str, Any]:
        """The content as JSON."""
        return self._asdict() | {"sources": [source._asdict() for source in self.sources]}

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> "SkippedSources":
        """What `as_json` gave."""
        return cls(**{**content, "sources": tuple(SkippedSource(**source) for source in content["sources"])})


class SourceTables(NamedTuple):
    """The corpus and the queries of a source, as normalised or as curated."""

    corpus: str | Path
    queries: str | Path
