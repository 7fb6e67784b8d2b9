"""The plan of a run."""

import pyarrow as pa

from f2llm.records.tables import ID

# runs/{run}/plan.parquet and validation_plan.parquet; sorted by (step, slot). What every step sees, before training.
PLAN = pa.schema(
    [
        pa.field("epoch", pa.int32(), nullable=False),  # -1 in validation
        pa.field("step", pa.int32(), nullable=False),
        pa.field("slot", pa.int32(), nullable=False),  # within the step
        pa.field("batch", pa.int16(), nullable=False),  # within the step; each is of one source
        pa.field("source", pa.string(), nullable=False),
        pa.field("tuple_id", ID, nullable=False),
        pa.field("tuple_row", pa.int32(), nullable=False),  # row of the source's tuples.parquet
        pa.field("query_row", pa.int32(), nullable=False),  # row of the curated queries
        pa.field("positive_row", pa.int32(), nullable=False),  # row of the curated corpus
        pa.field("negatives", pa.list_(pa.int16()), nullable=False),  # drawn positions in negative_rows of the tuple
        pa.field("negative_rows", pa.list_(pa.int32()), nullable=False),  # the corpus rows at these positions
        pa.field("tokens", pa.int32(), nullable=False),  # of query, positive and drawn negatives
        pa.field("stage", pa.string(), nullable=False),
    ]
)
