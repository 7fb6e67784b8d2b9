"""Tables that training writes."""

import pyarrow as pa

# Losses are those before weighting and on whole vectors, null where a term does not apply.
_LOSSES = [
    pa.field("loss", pa.float64(), nullable=False),  # the weighted sum, over the sizes of matryoshka too
    pa.field("loss_hard", pa.float64()),
    pa.field("loss_in_batch", pa.float64()),
]
# runs/{run}/metrics.parquet; sorted by (step, batch). One row a batch.
METRICS = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("batch", pa.int16(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        *_LOSSES,
        pa.field("learning_rate", pa.float64(), nullable=False),
        pa.field("gradient_norm", pa.float64(), nullable=False),  # of the step, before clipping
        pa.field("tokens", pa.int64(), nullable=False),  # of the batch, of all processes; none is padding
        pa.field("computed_tokens", pa.int64(), nullable=False),  # with fill-ins; passes done twice count once
        pa.field("seconds", pa.float64(), nullable=False),  # of the step
        pa.field("tokens_per_second", pa.float64(), nullable=False),  # of the step
        pa.field("mfu", pa.float64(), nullable=False),  # arithmetic of the model over what the machine multiplies, 0..1
    ]
)
# runs/{run}/validation.parquet; sorted by (step, source). Means over the held-out tuples of a source.
VALIDATION = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),  # steps done before
        pa.field("source", pa.string(), nullable=False),
        *_LOSSES,
        pa.field("tuples", pa.int32(), nullable=False),
    ]
)
