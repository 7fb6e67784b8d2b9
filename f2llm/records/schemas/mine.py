"""Tables of mining."""

import pyarrow as pa

from f2llm.records.tables import ID

# mined/{mining}/{source}/tuples.parquet; sorted by tuple_id.
TUPLES = pa.schema(
    [
        pa.field("tuple_id", ID, nullable=False),
        pa.field("query_id", ID, nullable=False),
        pa.field("query_row", pa.int32(), nullable=False),  # row of the curated queries
        pa.field("positive_row", pa.int32(), nullable=False),  # row of the curated corpus
        pa.field("positive_score", pa.float32()),  # null where no retriever was asked
        # 1-based, among the candidates of the query; null beyond the window and where no retriever was asked
        pa.field("positive_rank", pa.int32()),
        pa.field("negative_rows", pa.list_(pa.int32()), nullable=False),
        pa.field("negative_scores", pa.list_(pa.float32()), nullable=False),
        # 1-based rank among candidates, null if drawn
        pa.field("negative_ranks", pa.list_(pa.int32()), nullable=False),
        pa.field("negative_kinds", pa.list_(pa.string()), nullable=False),  # given | mined | drawn
    ]
)
# mined/{mining}/{source}/rejected.parquet; sorted by (query_id, positive_id).
REJECTED = pa.schema(
    [
        pa.field("query_id", ID, nullable=False),
        pa.field("positive_id", ID),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("candidates", pa.int32(), nullable=False),  # looked at inside the window
        pa.field("kept", pa.int32(), nullable=False),  # left after the filters and the skip
        pa.field("positive_score", pa.float32()),
        pa.field("positive_rank", pa.int32()),  # as in the tuples
    ]
)
