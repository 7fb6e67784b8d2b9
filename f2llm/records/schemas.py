"""Schemas of all tables, column by column: the contract between the stages.

Ids are 16 raw bytes (hex where shown). `*_row` columns are int32 positions in the curated
corpus or queries whose sha256 is in the table's metadata. Every table has a defined order,
named here.
"""

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

# curated/{curation}/{source}/removed.parquet; sorted by (role, id, stage).
REMOVED = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("role", pa.string(), nullable=False),  # query | passage
        pa.field(
            "stage", pa.string(), nullable=False
        ),  # split | exact | across | near | decontaminate | positive | sample
        pa.field("reason", pa.string(), nullable=False),  # one short sentence, the same for the same cause
        pa.field("kept_id", ID),  # the row that stands in for it
        pa.field("similarity", pa.float32()),  # exact Jaccard or containment, 0..1
        pa.field("evidence", pa.string()),  # e.g. task and test id that was hit
    ]
)

# curated/{curation}/{source}/hits.parquet; sorted by (role, id, task). Evaluation texts found in the source:
# the best of each task.
HITS = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("role", pa.string(), nullable=False),  # query | passage
        pa.field("task", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),  # of the task
        pa.field("test_id", pa.string(), nullable=False),  # of the evaluation text in the task
        pa.field("field", pa.string(), nullable=False),  # query | text | corpus (of tasks whose corpus is query-like)
        pa.field("rule", pa.string(), nullable=False),  # equal | run | 5-grams
        pa.field(
            "containment", pa.float32(), nullable=False
        ),  # share of the evaluation text's 5-grams; 1 for the others
        pa.field("dropped", pa.bool_(), nullable=False),  # False: reported only
        pa.field("text", pa.string(), nullable=False),  # of the row
        pa.field("test_text", pa.string(), nullable=False),
    ]
)

# shared/{curation}/shared.parquet; sorted by (role, content_key). Texts that several sources have.
SHARED = pa.schema(
    [
        pa.field("role", pa.string(), nullable=False),  # query | passage
        pa.field("content_key", pa.string(), nullable=False),  # E1 key, 32 hex digits
        pa.field("sources", pa.list_(pa.string()), nullable=False),  # sorted
        pa.field("ids", pa.list_(ID), nullable=False),  # of the text in each of them
        pa.field("text", pa.string(), nullable=False),  # as the first of them has it
    ]
)

# curated/{curation}/{source}/near.parquet; sorted by (doc_id, other_id). Verified near-duplicate edges, both kept.
NEAR = pa.schema(
    [
        pa.field("doc_id", ID, nullable=False),
        pa.field("other_id", ID, nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),  # exact Jaccard of E2 character 5-grams
    ]
)

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
        pa.field(
            "negative_ranks", pa.list_(pa.int32()), nullable=False
        ),  # 1-based rank among candidates, null if drawn
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

# cards/{run}/energy.parquet; sorted by (rule, unit). An estimate: what a job took times what config says a part draws.
ENERGY = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),  # values of the rule's wildcards; empty where it has none
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("cores", pa.int32(), nullable=False),
        pa.field("gpus", pa.int32(), nullable=False),
        pa.field("memory_gb", pa.float64(), nullable=False),  # peak, in GB of 10**9 bytes
        pa.field("kwh", pa.float64(), nullable=False),  # the data centre's overhead included
        pa.field("grams", pa.float64(), nullable=False),  # CO2 equivalents
    ]
)
