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
from f2llm.evaluate.task_data import PROBE, SCORED, read_lines
from f2llm.records.files import sha256_path

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

MAIN_SCORES = {
    "retrieval": "ndcg_at_10",
    "classification": "accuracy",
    "clustering": "v_measure",
    "sts": "cosine_spearman",
}
TYPE_NAMES = {
    "retrieval": "Retrieval",
    "classification": "Classification",
    "clustering": "Clustering",
    "sts": "STS",
}
SEED = 42
EXPERIMENTS = 10
PROBE_ITERATIONS = 1000


def mteb_task(task: Task, *, folder: str | Path) -> "AbsTask":
    """Return a new mteb task on the data in `folder`; its data set's revision is the folder's hash.

    Make one for each evaluation: a clustering task keeps the state of its random numbers, so the
    same object evaluated twice gives two scores.
    """
    from mteb.abstasks import AbsTaskClassification, AbsTaskClustering, AbsTaskRetrieval, AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    bases = {
        "retrieval": AbsTaskRetrieval,
        "classification": AbsTaskClassification,
        "clustering": AbsTaskClustering,
        "sts": AbsTaskSTS,
    }
    metadata = TaskMetadata(
        name=task.name,
        description=f"Rows of the source {task.source} (split: {task.split})",
        dataset={"path": str(folder), "revision": sha256_path(folder)},
        type=TYPE_NAMES[task.type],
        category="t2t" if task.type in ("retrieval", "sts") else "t2c",
        modalities=["text"],
        eval_splits=[SCORED],
        eval_langs=["eng-Latn"],
        main_score=MAIN_SCORES[task.type],
        prompt={"query": task.instruction} if task.type == "retrieval" else task.instruction,
    )
    attributes = {"metadata": metadata, **_sizes(task, Path(folder))}
    return type(task.name, (bases[task.type],), attributes)(seed=SEED)


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
