"""Which tasks each loss term applies to; readable without torch."""

# Elsewhere many tuples of a batch share a class, so that their positives are no negatives of each other.
IN_BATCH_TASKS = frozenset({"retrieval", "sts"})
