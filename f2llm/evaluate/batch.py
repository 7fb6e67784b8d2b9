"""One evaluation job: some tasks under the candidates of one network, mteb's result file for each."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.config.benchmarks import Task
from f2llm.config.run import Evaluate
from f2llm.evaluate.jobs import Candidate
from f2llm.evaluate.model import EvaluatedModel, SharedVectors, revision_of
from f2llm.evaluate.offline import offline
from f2llm.evaluate.task_data import is_empty
from f2llm.evaluate.tasks import mteb_task
from f2llm.records.files import sha256_path, write_json

if TYPE_CHECKING:
    from f2llm.encode.encoder import Encoder

# What mteb writes of the clock: it would make every run's bytes differ. Times are in the job's manifest.
CLOCK = ("date", "evaluation_time", "evaluation_phases", "kg_co2_emissions")
# Packages that log a line for every step.
TALKATIVE = ("mteb", "datasets", "huggingface_hub", "sentence_transformers")
logger = logging.getLogger(__name__)


def evaluate_batch(
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    *,
    data: Sequence[str | Path],
    scores: str | Path,
    settings: Evaluate,
    scratch: str | Path,
    threads: int,
) -> dict[str, Any]:
    """Evaluate `candidates`, which share one folder, on `tasks`; return counts and times.

    `data` are the folders of the tasks, in their order. Results go to
    `scores`/{candidate}/{task}.json: mteb's own file without the clock, with the model's name and
    revision. A task without rows is not scored; its file says so. Caches go to a folder below
    `scratch` that is deleted.

    Raises:
        InputError: the model cannot read `max_length` tokens, or a text has no vector.
    """
    folders = {task.name: Path(folder) for task, folder in zip(tasks, data, strict=True)}
    empty = [task for task in tasks if is_empty(folders[task.name])]
    full = [task for task in tasks if task not in empty]
    for task in empty:
        logger.warning("%s: no rows (its source was skipped), not scored", task.name)
        for candidate in candidates:
            path = Path(scores, candidate.name, f"{task.name}.json")
            write_json(path, _unscored(task, dataset_revision=sha256_path(folders[task.name])))
    counts = {"tasks": len(full), "tasks_skipped": len(empty), "candidates": len(candidates)}
    if not full:
        return counts
    with offline(scratch) as private:
        encoder = _encoder(candidates, settings=settings, threads=threads)
        vectors = SharedVectors(encoder, poolings=sorted({candidate.pooling for candidate in candidates}))
        models = [
            EvaluatedModel(
                candidate,
                vectors,
                revision=revision_of(candidate, max_length=settings.max_length, precision=encoder.precision),
            )
            for candidate in candidates
        ]
        seconds = _evaluate(models, full, folders=folders, scores=Path(scores), scratch=private)
    identity = {model.mteb_model_meta.name: model.mteb_model_meta.revision for model in models}
    about = {"precision": encoder.precision, "device": encoder.device, "models": identity, "task_seconds": seconds}
    return counts | {"texts_encoded": vectors.encoded} | about


def _encoder(candidates: Sequence[Candidate], *, settings: Evaluate, threads: int) -> "Encoder":
    import torch

    from f2llm.encode.encoder import Encoder

    torch.set_num_threads(threads)
    first = candidates[0]
    return Encoder.load(
        Path(first.folder), pooling=first.pooling, max_length=settings.max_length, precision=settings.precision
    )


def _evaluate(
    models: Sequence[EvaluatedModel],
    tasks: Sequence[Task],
    *,
    folders: Mapping[str, Path],
    scores: Path,
    scratch: Path,
) -> dict[str, float]:
    """Score every model on every task; return task -> seconds."""
    for package in TALKATIVE:
        logging.getLogger(package).setLevel(logging.WARNING)
    seconds = {}
    for task in tasks:
        started = time.monotonic()
        for model in models:
            result = evaluate_task(model, task, folder=folders[task.name], scratch=scratch)
            name = model.mteb_model_meta.name.partition("/")[2]
            write_json(scores / name / f"{task.name}.json", result)
            logger.info("%s: %s %.2f", task.name, name, 100 * result["scores"]["test"][0]["main_score"])
        seconds[task.name] = round(time.monotonic() - started, 1)
    return seconds


def evaluate_task(model: EvaluatedModel, task: Task, *, folder: Path, scratch: Path) -> dict[str, Any]:
    """Return what mteb writes of one model on one task (scores with six decimals), without the clock."""
    import mteb

    # Nothing is cached by mteb: whether a score is still good is for the workflow to decide.
    outcome = mteb.evaluate(
        model, mteb_task(task, folder=folder), cache=None, overwrite_strategy="always", co2_tracker=False,
        show_progress_bar=False, encode_kwargs={"batch_size": 256, "show_progress_bar": False},
    ).task_results[0]  # fmt: skip
    outcome.to_disk(scratch / "result.json")
    # A metric that is not a number (some area under a curve) is null.
    result = json.loads((scratch / "result.json").read_text(encoding="utf-8"), parse_constant=_null)
    meta = model.mteb_model_meta
    return result | dict.fromkeys(CLOCK) | {"model_name": meta.name, "model_revision": meta.revision}


def _null(_: str) -> None:
    return None


def _unscored(task: Task, *, dataset_revision: str) -> dict[str, Any]:
    return {"task_name": task.name, "dataset_revision": dataset_revision, "mteb_version": None, "scores": {}} | (
        dict.fromkeys(CLOCK) | {"model_name": None, "model_revision": None}
    )
