"""Results in the format of the public results repository."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import Candidate
from f2llm.evaluate.tasks.mteb import ORGANISATION
from f2llm.evaluate.tasks.offline import offline
from f2llm.models.heads import vector_length
from f2llm.records.files import atomic_folder, read_json, write_json

ADDED_KEYS = ("model_name", "model_revision", "data_sha256")  # by this pipeline to mteb's result files


def export_scores(
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    *,
    scores: str | Path,
    datasets: Sequence[str],
    costs: str | Path,
    folder: str | Path,
    scratch: str | Path,
) -> dict[str, Any]:
    """Write `folder`: results/{owner__name}/{revision}/{Task}.json and model_meta.json; return counts.

    Only mteb's own tasks are written, since the public repository has no others; all tasks where none is mteb's.
    `datasets` are mteb's names of the data that the first candidate, the run, is trained on.
    """
    exported = [task for task in tasks if task.mteb] or list(tasks)
    seconds = {(model, row["task"]): row["seconds"] for row in read_json(costs)["tasks"] for model in row["models"]}
    files = 0
    with offline(scratch), atomic_folder(folder) as aside:
        for candidate in candidates:
            results = {task.name: read_json(Path(scores, candidate.name, f"{task.name}.json")) for task in exported}
            scored = {name: result for name, result in results.items() if result["scores"]}
            name = f"{ORGANISATION}/{candidate.name}"
            for task, result in scored.items():
                target = aside / "results" / name.replace("/", "__") / result["model_revision"]
                if not (target / "model_meta.json").exists():
                    trained = datasets if candidate is candidates[0] else None
                    write_json(target / "model_meta.json", _meta(candidate, name, result["model_revision"], trained))
                content = {key: value for key, value in result.items() if key not in ADDED_KEYS}
                write_json(target / f"{task}.json", content | {"evaluation_time": seconds.get((name, task))})
                files += 1
    return {"models": len(candidates), "tasks": len(exported), "files": files}


def _meta(candidate: Candidate, name: str, revision: str, datasets: Sequence[str] | None) -> Mapping[str, Any]:
    """The metadata of a model as mteb's results repository keeps it."""
    from mteb.models.model_meta import ModelMeta

    overwrites = {
        "name": name,
        "revision": revision,
        "modalities": ["text"],
        "open_weights": True,
        "framework": ["Transformers", "safetensors"],
        "similarity_fn_name": "cosine",
        "embed_dim": candidate.dimensions or vector_length(candidate.folder),
        "max_tokens": candidate.max_length,
        "use_instructions": bool(candidate.query_prompt),
        "training_datasets": None if datasets is None else set(datasets),
    }
    content = ModelMeta.create_empty(overwrites=overwrites).to_dict()
    if content.get("training_datasets"):
        content["training_datasets"] = sorted(content["training_datasets"])
    return content
