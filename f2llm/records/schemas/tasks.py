"""Tables of an evaluation task."""

import pyarrow as pa

# benchmarks/{task}/texts.parquet; sorted by (split, field, id). The texts that training must not contain.
TEXTS = pa.schema(
    [
        pa.field("task", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("field", pa.string(), nullable=False),  # query | text | corpus (corpus is reported, never dropped)
        pa.field("text", pa.string(), nullable=False),
    ]
)
