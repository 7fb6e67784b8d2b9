"""Tables of curation."""

import pyarrow as pa

from f2llm.records.tables import ID

# curated/{curation}/{source}/removed.parquet; sorted by (role, id, stage).
REMOVED = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("role", pa.string(), nullable=False),  # query | passage
        # split | exact | across | near | decontaminate | positive | sample
        pa.field("stage", pa.string(), nullable=False),
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
        # share of the evaluation text's 5-grams; 1 for the others
        pa.field("containment", pa.float32(), nullable=False),
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
