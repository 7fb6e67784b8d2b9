"""What a model scored on each query, text or pair of a task: the grounds on which two models are compared.

Retrieval and reranking: the main score of each query. Classification: the share of the probes that were right
about a text. STS: the cosine of a pair, with its gold score. Other tasks have no scores of single items.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from f2llm.config.benchmarks import Task
from f2llm.evaluate.tasks.mteb import main_score_of

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

# scores/{model}/items/{task}.parquet, sorted by (split, subset, item); empty where single items have no scores.
ITEMS = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("subset", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),  # id of a query, else the number of a row
        pa.field("score", pa.float64(), nullable=False),  # 0..1; STS: cosine
        pa.field("gold", pa.float64()),  # STS: what the cosines are ranked against
    ]
)
# Our names of main scores -> those of the scores of single queries.
_OF_QUERY = {"ndcg_at_": "ndcg_cut_", "map_at_": "map_cut_"}


class Item(NamedTuple):
    """A row of the table."""

    split: str
    subset: str
    item: str
    score: float
    gold: float | None = None


class Watch:
    """Listens to mteb while it scores one task."""

    def __init__(self, task: Task, made: "AbsTask") -> None:
        self._task, self._made, self._main = task, made, main_score_of(task)
        self._found: list[Item] = []
        made._save_task_predictions = self._predicted
        if hasattr(made, "task_specific_scores"):
            self._asked = made.task_specific_scores
            made.task_specific_scores = self._listen

    def items(self) -> list[Item]:
        """Return the scores of single items, after mteb is through."""
        return sorted(self._found)

    def _predicted(self, predictions: Any, model: object, folder: object, *, hf_split: str, hf_subset: str) -> None:  # noqa: ANN401
        """Take predictions instead of mteb's file of them, while the data are still there."""
        data = self._made.dataset
        rows = data[hf_subset][hf_split] if hf_subset in data else data[hf_split]
        if self._task.type == "sts":
            self._found += _cosines(predictions, rows, hf_split, hf_subset)
        elif self._task.type == "classification" and self._main == "accuracy":
            self._found += _right(predictions, rows[self._made.label_column_name], hf_split, hf_subset)

    def _listen(
        self,
        scores: Mapping[str, Mapping[str, float]],
        qrels: Any,  # noqa: ANN401 - mteb's
        results: Any,  # noqa: ANN401 - mteb's
        *,
        hf_split: str,
        hf_subset: str,  # noqa: ANN401
    ) -> dict[str, float]:
        for ours, theirs in _OF_QUERY.items():
            if self._main.startswith(ours):
                key = theirs + self._main.removeprefix(ours)
                self._found += [
                    Item(hf_split, hf_subset, query, float(row[key])) for query, row in scores.items() if key in row
                ]
        return self._asked(scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset)


def _right(predicted: Sequence[Any], labels: Sequence[Any], split: str, subset: str) -> list[Item]:
    right = np.mean([np.array(each) == np.array(labels) for each in predicted], axis=0)
    return [Item(split, subset, f"{row:08}", float(share)) for row, share in enumerate(right)]


def _cosines(predicted: Mapping[str, Any], rows: Any, split: str, subset: str) -> list[Item]:  # noqa: ANN401 - a Dataset
    return [
        Item(split, subset, f"{row:08}", float(cosine), float(gold))
        for row, (cosine, gold) in enumerate(zip(predicted["cosine_scores"], rows["score"], strict=True))
    ]
