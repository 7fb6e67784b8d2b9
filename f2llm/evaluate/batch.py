"""One evaluation job: candidates that share a network are scored on some tasks, a result file of mteb's for each."""

import functools
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import Candidate
from f2llm.evaluate.aggregate import score_of
from f2llm.evaluate.items import ITEMS, Item, ItemRecorder
from f2llm.evaluate.model import EvaluatedModel, SharedVectors, open_stores, revision_of
from f2llm.evaluate.tasks.data import is_empty
from f2llm.evaluate.tasks.mteb import mteb_task, score
from f2llm.evaluate.tasks.offline import offline
from f2llm.models.device import resolve_precision
from f2llm.models.prompts import format_query
from f2llm.models.tokenizers import check_prompts
from f2llm.records.files import sha256_path, write_json
from f2llm.records.tables import read_table, write_rows
from f2llm.vectors.fill import load_encoder

# Keys of mteb's result that tell the time: they would make every run's bytes differ. Times are in the job's manifest.
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
    scratch: str | Path,
    threads: int,
    store: str | Path,
) -> dict[str, Any]:
    """Evaluate `candidates`, which share one network, on `tasks`; return counts and times.

    `data` are the folders of the tasks, in their order. Results go to `scores`/{candidate}/{task}.json: mteb's own file
    without the time, with the model's name and revision; and to `scores`/{candidate}/items/{task}.parquet (schema
    ITEMS). A task without rows is not scored; its file says so. Vectors are kept below `store`. Caches go to a folder
    below `scratch` that is deleted.

    Raises:
        InputError: the model cannot read `max_length` tokens, or a text has no vector.
    """
    folders = {task.name: Path(folder) for task, folder in zip(tasks, data, strict=True)}
    empty = [task for task in tasks if is_empty(folders[task.name])]
    full = [task for task in tasks if task not in empty]
    for task in empty:
        logger.warning("%s: no rows (its source was skipped), not scored", task.name)
        for candidate in candidates:
            result = _unscored(task, dataset_revision=sha256_path(folders[task.name]))
            _write(Path(scores), candidate.name, task, result, [])
    counts = {"tasks": len(full), "tasks_skipped": len(empty), "candidates": len(candidates)}
    if not full:
        return counts
    with offline(scratch) as private:
        vectors, settings = open_network(candidates, threads=threads, store=store)
        precision = settings["precision"]
        models = [
            EvaluatedModel(candidate, vectors, revision=revision_of(candidate, precision=precision))
            for candidate in candidates
        ]
        seconds = _evaluate(models, full, folders=folders, scores=Path(scores), scratch=private)
    return counts | {
        "texts_encoded": vectors.encoded,
        "texts_reused": vectors.reused,
        "precision": precision,
        "device": settings["device"],
        "models": {model.mteb_model_meta.name: model.mteb_model_meta.revision for model in models},
        "task_seconds": seconds,
    }


def encode_shard(
    candidates: Sequence[Candidate],
    task: Task,
    *,
    texts: str | Path,
    shard: tuple[int, int],
    threads: int,
    store: str | Path,
    manifest: str | Path,
) -> dict[str, Any]:
    """Encode the passages of one shard of a large task into the store; return counts.

    `shard` is its number, from 0, and the number of shards; which passages it holds depends on their ids alone. `texts`
    is the task's table of texts; `manifest` is written when all are stored.
    """
    number, count = shard
    table = read_table(texts, columns=["id", "field", "text"])
    rows = zip(*(table[name].to_pylist() for name in ("id", "field", "text")), strict=True)
    passages = [text for key, field, text in rows if field == "corpus" and int(key[:8], 16) % count == number]
    vectors, _ = open_network(candidates, threads=threads, store=store)
    prompt = candidates[0].passage_prompt
    prompted = [format_query(prompt, instruction=task.instruction, text=text) for text in passages]
    vectors.add(prompted, what=f"{task.name} ({number + 1} of {count})")
    write_json(manifest, {"task": task.name, "shard": number, "shards": count, "passages": len(passages)})
    return {"passages": len(passages), "texts_encoded": vectors.encoded, "texts_reused": vectors.reused}


def open_network(
    candidates: Sequence[Candidate], *, threads: int, store: str | Path
) -> tuple[SharedVectors, dict[str, Any]]:
    """The vectors of the one network that `candidates` share, and what decides them besides weights and pooling.

    The weights are loaded when a first text needs them.
    """
    import torch

    first = candidates[0]
    prompts = [prompt for candidate in candidates for prompt in (candidate.query_prompt, candidate.passage_prompt)]
    check_prompts(prompts, folder=first.folder, where=f"model {first.name}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = resolve_precision(first.precision, device=device)
    settings = {"max_length": first.max_length, "precision": precision, "device": device}
    poolings = sorted({candidate.pooling for candidate in candidates})
    load = functools.partial(load_encoder, first.folder, pooling=first.pooling, threads=threads, **settings)
    return SharedVectors(load, stores=open_stores(first, store, poolings=poolings, **settings)), settings


def _evaluate(
    models: Sequence[EvaluatedModel],
    tasks: Sequence[Task],
    *,
    folders: Mapping[str, Path],
    scores: Path,
    scratch: Path,
) -> dict[str, float]:
    """Score every model on every task and write the results; return task -> seconds."""
    for package in TALKATIVE:
        logging.getLogger(package).setLevel(logging.WARNING)
    seconds = {}
    for task in tasks:
        started = time.monotonic()
        folder = scratch / "data" / task.name  # `datasets` tells local folders apart by their last name
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(folders[task.name].absolute())
        for model in models:
            result, items = evaluate_task(model, task, folder=folder, scratch=scratch)
            name = model.mteb_model_meta.name.partition("/")[2]
            _write(scores, name, task, result, items)
            main = score_of(task, result)
            logger.info("%s: %s %s", task.name, name, "no score" if main is None else f"{100 * main:.2f}")
        seconds[task.name] = round(time.monotonic() - started, 1)
    return seconds


def _write(scores: Path, name: str, task: Task, result: Mapping[str, Any], items: Sequence[Item]) -> None:
    write_rows(scores / name / "items" / f"{task.name}.parquet", schema=ITEMS, rows=items)
    write_json(scores / name / f"{task.name}.json", result)


def evaluate_task(
    model: EvaluatedModel, task: Task, *, folder: Path, scratch: Path
) -> tuple[dict[str, Any], list[Item]]:
    """Result of one model on one task as mteb writes it (scores with six decimals) without the time, and its items."""
    scored = mteb_task(task, folder=folder)
    recorder = ItemRecorder(task, scored)
    score(model, scored, prediction_folder=scratch / "predictions").to_disk(scratch / "result.json")
    # A metric that is not a number (some area under a curve) is null.
    result = json.loads((scratch / "result.json").read_text(encoding="utf-8"), parse_constant=lambda _: None)
    meta = model.mteb_model_meta
    origin = {"model_name": meta.name, "model_revision": meta.revision, "data_sha256": sha256_path(folder.resolve())}
    return result | dict.fromkeys(CLOCK) | origin, recorder.items()


def _unscored(task: Task, *, dataset_revision: str) -> dict[str, Any]:
    unknown = dict.fromkeys((*CLOCK, "mteb_version", "model_name", "model_revision"))
    origin = {"task_name": task.name, "dataset_revision": dataset_revision, "data_sha256": dataset_revision}
    return unknown | origin | {"scores": {}}
