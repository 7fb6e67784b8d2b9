"""Tables of a normalised source."""

from pathlib import Path
from typing import NamedTuple

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


class SourceTables(NamedTuple):
    """The corpus and the queries of a source, as normalised or as curated."""

    corpus: str | Path
    queries: str | Path
