"""Tables that training writes: a row for each value of a batch or source, named by its term.

A loss term or figure that does not apply has no row, so a new one changes no schema. Terms of both tables: `loss`, the
weighted sum, over the sizes of matryoshka too, and `loss_NAME`, the term NAME of `train.losses` before weighting and on
whole vectors. `f2llm.records.terms` reads them, and the tables of older runs, which have a column a term.
"""

import pyarrow as pa

LOSS_PREFIX = "loss_"
# runs/{run}/metrics.parquet; sorted by (step, batch, term). The other terms are
#   tokens: of the batch, of all processes; none is padding
#   computed_tokens: with fill-ins; passes done twice count once
#   learning_rate, gradient_norm (before clipping), seconds, tokens_per_second, mfu (arithmetic of the model over what
#     the machine multiplies, 0..1): of the step, the same in all its batches
METRICS = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),
        pa.field("batch", pa.int16(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("term", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
# runs/{run}/validation.parquet; sorted by (step, source, term). Losses are means over the held-out tuples of a source,
# `tuples` is their number.
VALIDATION = pa.schema(
    [
        pa.field("step", pa.int32(), nullable=False),  # steps done before
        pa.field("source", pa.string(), nullable=False),
        pa.field("term", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
