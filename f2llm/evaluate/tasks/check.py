"""Checks, before a model is loaded, that the fetched data of a task are complete and those that mteb scores.

The task is loaded as mteb loads it, from the fetched files and without the network; its descriptive statistics are
compared with those that mteb ships; and it is scored once by a stand-in for a model, which shows that nothing is
missing and records the texts that a model will read.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from f2llm.config.benchmarks import Task
from f2llm.evaluate.tasks.data import PROBE, SCORED, TaskText, is_empty, write_texts
from f2llm.evaluate.tasks.mteb import UnitVectors, mteb_task, score
from f2llm.evaluate.tasks.offline import offline
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path, write_json
from f2llm.records.ids import doc_id

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata

# Parts of the names of statistics on the texts themselves; all others count rows, labels and relations.
OF_TEXTS = ("characters", "length", "unique_texts", "unique_pairs", "samples_in_train")
CLOSE = 1e-6  # relative difference of numbers that are taken as equal
FIELDS = {"query": "query", "document": "corpus"}
MOST_SHOWN = 6
logger = logging.getLogger(__name__)


def check_task(
    task: Task, *, data: str | Path, manifest: str | Path, checked: str | Path, texts: str | Path, scratch: str | Path
) -> dict[str, Any]:
    """Check the files in `data`; write the verdict (JSON) and all texts that are scored (schema TEXTS).

    `manifest` is that of the fetched files. A task whose data was skipped has no texts.

    Raises:
        InputError: mteb cannot load or score the data, or (as `task.check` says) they are not those
            whose statistics it ships.
    """
    differences: list[dict[str, Any]] = []
    texts_read: set[TaskText] = set()
    if is_empty(data):
        logger.warning("%s: no data (it was skipped)", task.name)
    else:
        with offline(scratch) as private:
            link = private / task.name  # `datasets` tells local folders apart by their last name
            link.symlink_to(Path(data).absolute())
            try:
                differences = list(differences_of_statistics(task, folder=link)) if task.check != "off" else []
                refuse(task, differences)
                score(TextRecorder(task, texts_read), mteb_task(task, folder=link))
            except InputError:
                raise
            except Exception as error:  # whatever mteb, datasets or a parser raises
                message = " ".join(str(error).split())[:300]
                raise InputError(
                    f"benchmark task {task.name}: mteb cannot read {task.mteb.repository}@{task.mteb.revision} in "
                    f"{data}: {type(error).__name__}: {message}; fetch it again (delete {data}), or take the task out"
                ) from error
    count = write_texts(texts, texts_read, task=task)
    verdict = {
        "task": task.name,
        "repository": task.mteb.repository,
        "revision": task.mteb.revision,
        "files": len(read_json(manifest)["files"]),
        "sha256": sha256_path(data),
        "differences": differences,
        "texts": count,
    }
    write_json(checked, verdict)
    return {"texts": count, "differences": len(differences)}


def refuse(task: Task, differences: list[dict[str, Any]]) -> None:
    """Raise an InputError for differences that the stanza does not allow; log the others."""
    lines, fatal = [], []
    for difference in differences:
        where, here, expected = (difference[key] for key in ("where", "found", "expected"))
        lines.append(f"{where}: {here} here, {expected} in mteb's statistics")
        if not difference["of_texts"] or task.check == "strict":
            fatal.append(lines[-1])
    if fatal:
        rest = f", and {len(fatal) - MOST_SHOWN} more" if len(fatal) > MOST_SHOWN else ""
        raise InputError(
            f"benchmark task {task.name}: the data are not those that mteb scores: "
            f"{'; '.join(fatal[:MOST_SHOWN])}{rest}; fetch the pinned revision again, or say `check: off` in the "
            "benchmark if you know why"
        )
    if lines:
        logger.warning("%s: its texts differ from mteb's statistics: %s", task.name, "; ".join(lines[:MOST_SHOWN]))


def differences_of_statistics(task: Task, *, folder: Path) -> Iterator[dict[str, Any]]:
    """Where the statistics of the data in `folder` differ from those that mteb ships.

    Each difference names its place (`where`), both numbers (`expected`, `found`), and whether it is one `of_texts`.
    """
    loaded = mteb_task(task, folder=folder)
    loaded.load_data()
    multilingual = loaded.metadata.is_multilingual
    missing = [subset for subset in task.mteb.subsets if multilingual and subset not in loaded.dataset]
    if missing:
        raise InputError(f"benchmark task {task.name}: the data have no subset {', '.join(missing)}; fetch them again")
    shipped = loaded.metadata.descriptive_stats
    if shipped is None:
        logger.warning("%s: mteb ships no statistics of its data; only the hashes of the files are checked", task.name)
        return
    for split in task.mteb.splits:
        for subset in task.mteb.subsets if multilingual else (None,):
            expected = shipped.get(split) or {}
            if subset is not None:
                expected = expected.get("hf_subset_descriptive_stats", {}).get(subset) or {}
            found = loaded._calculate_descriptive_statistics_from_split(split, hf_subset=subset)
            where = " ".join(filter(None, (split, subset)))
            yield from _differences(expected, found, where=where)


def _differences(expected: object, found: object, *, where: str, of_texts: bool = False) -> Iterator[dict[str, Any]]:
    """The numbers of `expected`, at any depth, that `found` has otherwise; absent statistics of texts are no fault."""
    if isinstance(expected, Mapping):
        here = found if isinstance(found, Mapping) else {}
        if expected and all(str(key).lstrip("-").isdigit() for key in expected):  # counts by label
            here = {str(key): value for key, value in here.items()}
        for key, value in expected.items():
            if key != "hf_subset_descriptive_stats":
                inside = of_texts or any(word in key for word in OF_TEXTS)
                yield from _differences(value, here.get(key), where=f"{where} {key}", of_texts=inside)
        return
    if expected is None or (found is None and of_texts) or expected == found:
        return
    if found is not None and isinstance(expected, int | float):
        if abs(float(expected) - float(found)) <= CLOSE * max(1, abs(expected)):
            return
    yield {"where": where, "expected": expected, "found": found, "of_texts": of_texts}


class TextRecorder(UnitVectors):
    """A stand-in for a model: a vector of two numbers for each text, which it records in `texts`."""

    def __init__(self, task: Task, texts: set[TaskText]) -> None:
        super().__init__("f2llm/recorder", revision="none")
        self._splits, self._texts = task.mteb.splits, texts

    def vectors_of(
        self, texts: list[str], metadata: "TaskMetadata", *, split: str, role: str | None
    ) -> NDArray[np.float32]:
        """For each text a direction in the plane, by its hash."""
        field = FIELDS.get(role, "text")
        # Texts on which a probe is fitted are not scored: the name of their split tells curation so.
        split = PROBE if split not in self._splits else SCORED if split == PROBE else split
        self._texts.update(TaskText(metadata.name, split, doc_id(text).hex(), field, text) for text in texts)
        angles = np.array([int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
