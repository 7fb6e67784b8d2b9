"""Task folders as mteb tasks.

The probe of a classification is fitted ten times, each time on the same number of texts of every class (three quarters
of the rarest class), and the accuracies are averaged. A clustering is drawn ten times, each time with as many texts as
there are, with replacement, and the ten V-measures are averaged. Both procedures are mteb's; only their sizes are set
here, because its defaults (8 texts a class; 4 % of the texts) are made for large data sets.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from f2llm.config.benchmarks import Task
from f2llm.evaluate.tasks.data import PROBE, SCORED, read_lines
from f2llm.records.files import sha256_path

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.results import TaskResult
    from mteb.types import PromptType

ORGANISATION = "f2llm"  # under which models appear in results
MAIN_SCORES = {
    "retrieval": "ndcg_at_10",
    "reranking": "map_at_1000",
    "classification": "accuracy",
    "clustering": "v_measure",
    "sts": "cosine_spearman",
    "pairs": "max_ap",
    "summarisation": "cosine_spearman",
}
QUERY_PROMPT_ONLY = ("retrieval", "reranking")  # types whose instruction is for queries alone
SEED = 42
EXPERIMENTS = 10
PROBE_ITERATIONS = 1000


def mteb_task(task: Task, *, folder: str | Path) -> "AbsTask":
    """A new mteb task on the data in `folder`.

    The revision of its data set is the folder's hash, or for a task of mteb the commit. Each evaluation needs a new
    task: one of clustering keeps the state of its random numbers, so the same object evaluated twice gives two scores.
    """
    return _registered_task(task, folder=folder) if task.mteb else _local_task(task, folder=folder)


def _registered_task(task: Task, *, folder: str | Path) -> "AbsTask":
    """The task of mteb's registry, with data from a folder and the instruction from the stanza."""
    import mteb

    subsets = list(task.mteb.subsets) if mteb.get_task(task.name).metadata.is_multilingual else None
    registered = mteb.get_task(task.name, hf_subsets=subsets, eval_splits=list(task.mteb.splits))
    metadata = registered.metadata.model_copy(deep=True)
    metadata.dataset = {**metadata.dataset, "path": str(folder)}
    metadata.prompt = _prompt(task)
    registered.metadata = metadata
    return registered


def _local_task(task: Task, *, folder: str | Path) -> "AbsTask":
    """A task of mteb's class for this type, with our rows, main score and sizes."""
    from mteb.abstasks import (
        AbsTaskClassification,
        AbsTaskClustering,
        AbsTaskPairClassification,
        AbsTaskRetrieval,
        AbsTaskSTS,
    )
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.abstasks.text.summarization import AbsTaskSummarization

    bases = {
        "retrieval": AbsTaskRetrieval,
        "reranking": AbsTaskRetrieval,
        "classification": AbsTaskClassification,
        "clustering": AbsTaskClustering,
        "sts": AbsTaskSTS,
        "pairs": AbsTaskPairClassification,
        "summarisation": AbsTaskSummarization,
    }
    origin = f"Files of {task.data}" if task.data else f"Rows of the source {task.source} (split: {task.split})"
    metadata = TaskMetadata(
        name=task.name,
        description=origin,
        dataset={"path": str(folder), "revision": sha256_path(folder)},
        type=task.type_name,
        category="t2c" if task.type in ("classification", "clustering") else "t2t",
        modalities=["text"],
        eval_splits=[SCORED],
        eval_langs=["eng-Latn"],
        main_score=MAIN_SCORES[task.type],
        prompt=_prompt(task),
    )
    attributes = {"metadata": metadata, **_sizes(task, Path(folder))}
    return type(task.name, (bases[task.type],), attributes)(seed=SEED)


def _prompt(task: Task) -> str | dict[str, str]:
    return {"query": task.instruction} if task.type in QUERY_PROMPT_ONLY else task.instruction


class UnitVectors:
    """mteb's encoder protocol, for models whose vectors are of unit length: a subclass has `vectors_of`."""

    def __init__(self, name: str, *, revision: str) -> None:
        from mteb.models.model_meta import ModelMeta

        identity = {"name": name, "revision": revision, "modalities": ["text"]}
        self.mteb_model_meta: ModelMeta = ModelMeta.create_empty(overwrites=identity)

    def encode(
        self,
        inputs: Any,  # noqa: ANN401 - a DataLoader of dicts
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,
        hf_subset: str,
        prompt_type: "PromptType | None" = None,
        **_: object,
    ) -> NDArray[np.float32]:
        """Vectors [N, D] of the texts in `inputs`, in their order."""
        texts = [text for batch in inputs for text in batch["text"]]
        return self.vectors_of(texts, task_metadata, split=hf_split, role=prompt_type and prompt_type.value)

    def similarity(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """All cosines, as dot products of unit vectors."""
        return np.asarray(left) @ np.asarray(right).T

    def similarity_pairwise(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cosine of each row of `left` with the same row of `right`."""
        return (np.asarray(left) * np.asarray(right)).sum(-1)


def score(model: UnitVectors, scored: "AbsTask", **options: Any) -> "TaskResult":  # noqa: ANN401 - mteb's
    """Let mteb score a task; its cache is off, since the workflow decides whether a score is still valid."""
    import mteb

    return mteb.evaluate(
        model, scored, cache=None, overwrite_strategy="always", co2_tracker=False, show_progress_bar=False,
        encode_kwargs={"batch_size": 256, "show_progress_bar": False}, **options,
    ).task_results[0]  # fmt: skip


def main_score_of(task: Task) -> str:
    """Mteb's name of the main score of a task."""
    return task.mteb.main_score if task.mteb else MAIN_SCORES[task.type]


def instruction_of(prompt: str | dict[str, str] | None) -> str:
    """The instruction in an mteb task's `metadata.prompt`; "" where it has none for queries."""
    return prompt.get("query", "") if isinstance(prompt, dict) else prompt or ""


def _sizes(task: Task, folder: Path) -> dict[str, Any]:
    """The class attributes that set the sizes of mteb's procedure."""
    if task.type == "classification":
        from sklearn.linear_model import LogisticRegression

        rarest = min(Counter(row["label"] for row in read_lines(folder / f"{PROBE}.jsonl")).values())
        return {
            "samples_per_label": max(1, 3 * rarest // 4),
            "n_experiments": EXPERIMENTS,
            "evaluator_model": LogisticRegression(max_iter=PROBE_ITERATIONS),
        }
    if task.type == "summarisation" or (task.type == "sts" and task.data):
        rows = read_lines(folder / f"{SCORED}.jsonl")
        grades = [grade for row in rows for grade in row.get("relevance", [row.get("score")])]
        return {"min_score": min(grades), "max_score": max(grades)}
    if task.type == "clustering":
        texts = len(read_lines(folder / f"{SCORED}.jsonl"))
        return {
            "max_fraction_of_documents_to_embed": None,
            "max_document_to_embed": None,
            "max_documents_per_cluster": texts,
            "n_clusters": EXPERIMENTS,
            "k_mean_batch_size": max(texts, 512),
        }
    return {}
