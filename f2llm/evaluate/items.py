"""Scores of the single queries, texts or pairs of a task, on which the comparison of two models rests.

Retrieval and reranking: the main score of each query. Classification: the share of the fitted probes that label a text
correctly. STS: the cosine of a pair, with its gold score. Other tasks have no scores of single items.
"""

from collections import namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

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
# Beginning of a main score's name -> that of the same score of a single query, in mteb.
_OF_QUERY = {"ndcg_at_": "ndcg_cut_", "map_at_": "map_cut_"}


class Item(namedtuple("Item", ITEMS.names, defaults=[None])):
    """A row of the table: one query, text or pair; `gold` is null unless given."""


class ItemRecorder:
    """Records scores of single items while mteb scores one task.

    mteb writes only their means, so two methods of its task are replaced: the one that saves predictions, and the one
    that is given the scores of all queries to compute more of them.
    """

    def __init__(self, task: Task, mteb_task: "AbsTask") -> None:
        self._task, self._mteb_task, self._main = task, mteb_task, main_score_of(task)
        self._items: list[Item] = []
        mteb_task._save_task_predictions = self._record_predictions
        if hasattr(mteb_task, "task_specific_scores"):
            self._task_specific_scores = mteb_task.task_specific_scores
            mteb_task.task_specific_scores = self._record_queries

    def items(self) -> list[Item]:
        """The scores of single items, sorted; complete when mteb has scored the task."""
        return sorted(self._items)

    def _record_predictions(
        self,
        predictions: Any,  # noqa: ANN401 - mteb's
        model: object,
        folder: object,
        *,
        hf_split: str,
        hf_subset: str,
    ) -> None:
        """Called where mteb would write its file of predictions, while the data set is still loaded."""
        data = self._mteb_task.dataset
        rows = data[hf_subset][hf_split] if hf_subset in data else data[hf_split]
        if self._task.type == "sts":
            cosines = zip(predictions["cosine_scores"], rows["score"], strict=True)
            scores = [(float(cosine), float(gold)) for cosine, gold in cosines]
        elif self._task.type == "classification" and self._main == "accuracy":
            labels = np.array(rows[self._mteb_task.label_column_name])
            shares = np.mean([np.array(of_probe) == labels for of_probe in predictions], axis=0)
            scores = [(float(share), None) for share in shares]
        else:
            return
        self._items += [Item(hf_split, hf_subset, f"{row:08}", *of_row) for row, of_row in enumerate(scores)]

    def _record_queries(
        self,
        scores: Mapping[str, Mapping[str, float]],
        qrels: Any,  # noqa: ANN401 - mteb's
        results: Any,  # noqa: ANN401 - mteb's
        *,
        hf_split: str,
        hf_subset: str,
    ) -> dict[str, float]:
        for of_task, of_query in _OF_QUERY.items():
            if self._main.startswith(of_task):
                key = of_query + self._main.removeprefix(of_task)
                self._items += [
                    Item(hf_split, hf_subset, query, float(row[key])) for query, row in scores.items() if key in row
                ]
        return self._task_specific_scores(scores, qrels, results, hf_split=hf_split, hf_subset=hf_subset)
