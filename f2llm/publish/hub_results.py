"""The score of a task as the metadata of a model card on the hub has it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from f2llm.config.benchmarks import Task


def hub_result(task: "Task", *, metric: str, points: float) -> "EvalResult":
    """Return the main score of a task, in points; `metric` is mteb's name of it."""
    from huggingface_hub import EvalResult

    data = {"dataset_type": task.name, "dataset_name": task.name}
    if task.mteb:
        data = {
            "dataset_type": task.mteb.repository,
            "dataset_name": f"MTEB {task.name}",
            "dataset_revision": task.mteb.revision,
            "dataset_split": task.mteb.splits[0],
            "dataset_config": task.mteb.subsets[0],
        }
    return EvalResult(task_type=task.type_name, metric_type=metric, metric_value=round(points, 3), **data)
