"""The terms of the loss and the tasks that each applies to; readable without torch."""

from collections.abc import Mapping

from f2llm.records.ids import TASKS

TASKS_OF_TERM: Mapping[str, frozenset[str]] = {
    "hard": frozenset(TASKS),
    # Elsewhere many tuples of a batch share a class, so that their positives are no negatives of each other.
    "in_batch": frozenset({"retrieval", "sts"}),
}
