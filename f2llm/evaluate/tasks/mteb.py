"""Task folders as mteb tasks.

The probe of a classification is fitted ten times, each time on as many texts of every class as
three quarters of the rarest class are, and the accuracies are averaged. A clustering draws ten
times as many texts as there are, with replacement, and averages the ten V-measures. Both are
mteb's own procedures; only their sizes are set here, because its defaults (8 texts a class; 4 %
of the texts) are made for large data sets.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.config.benchmarks import Task
from f2llm.evaluate.tasks.data import PROBE, SCORED, read_lines
from f2llm.records.files import sha256_path

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

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
    """Return a new mteb task on the data in `folder`.

    The revision of its data set is the folder's hash, or for a task of mteb the commit. Make one for each
    evaluation: a clustering task keeps the state of its random numbers, so the same object evaluated
    twice gives two scores.
    """
    return _registered(task, folder=folder) if task.mteb else _own(task, folder=folder)


def _registered(task: Task, *, folder: str | Path) -> "AbsTask":
    """Return mteb's own task, its data taken from a folder and its instruction from the stanza."""
    import mteb

    probe = mteb.get_task(task.name)
    subsets = list(task.mteb.subsets) if probe.metadata.is_multilingual else None
    made = mteb.get_task(task.name, hf_subsets=subsets, eval_splits=list(task.mteb.splits))
    metadata = made.metadata.model_copy(deep=True)
    metadata.dataset = {**metadata.dataset, "path": str(folder)}
    metadata.prompt = _prompt(task)
    made.metadata = metadata
    return made


def _own(task: Task, *, folder: str | Path) -> "AbsTask":
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


def main_score_of(task: Task) -> str:
    """Return mteb's name of the main score of a task."""
    return task.mteb.main_score if task.mteb else MAIN_SCORES[task.type]


def instruction_of(prompt: str | dict[str, str] | None) -> str:
    """Return the instruction in an mteb task's `metadata.prompt`."""
    return prompt.get("query", "") if isinstance(prompt, dict) else prompt or ""


def _sizes(task: Task, folder: Path) -> dict[str, Any]:
    """Return the class attributes that set the sizes of mteb's procedure."""
    if task.type == "classification":
        from sklearn.linear_model import LogisticRegression

        rarest = min(Counter(row["label"] for row in read_lines(folder / f"{PROBE}.jsonl")).values())
        return {
            "samples_per_label": max(1, 3 * rarest // 4),
            "n_experiments": EXPERIMENTS,
            "evaluator_model": LogisticRegression(max_iter=PROBE_ITERATIONS),
        }
    if task.type == "summarisation":
        grades = [grade for row in read_lines(folder / f"{SCORED}.jsonl") for grade in row["relevance"]]
        return {"min_score": min(grades), "max_score": max(grades)}
    if task.type == "sts":
        grades = [row["score"] for row in read_lines(folder / f"{SCORED}.jsonl")]
        return {"min_score": min(grades), "max_score": max(grades)} if task.data else {}
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
