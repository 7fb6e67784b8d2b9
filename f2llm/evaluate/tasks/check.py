"""Is the data of a task of mteb here, whole, and that which mteb scores? Known before a model is loaded.

The task is loaded as mteb loads it, from the fetched files and without the network; its descriptive
statistics are compared with those that mteb ships; and it is scored once by a model of two numbers a
text, which shows that nothing is missing and which texts a model will read.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from f2llm.config.benchmarks import Task
from f2llm.errors import InputError
from f2llm.evaluate.tasks.data import PROBE, SCORED, Text, is_empty
from f2llm.evaluate.tasks.mteb import mteb_task
from f2llm.evaluate.tasks.offline import offline
from f2llm.records.files import read_json, sha256_path, write_json
from f2llm.records.ids import doc_id
from f2llm.records.schemas.tasks import TEXTS
from f2llm.records.tables import write_rows

if TYPE_CHECKING:
    from mteb.abstasks.abstask import AbsTask

# Statistics of the texts themselves; all others count rows, labels and relations.
OF_TEXTS = ("characters", "length", "unique_texts", "unique_pairs", "samples_in_train")
CLOSE = 1e-6
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
    about = {"task": task.name, "repository": task.mteb.repository, "revision": task.mteb.revision,
             "files": len(read_json(manifest)["files"]), "sha256": sha256_path(data), "differences": []}  # fmt: skip
    recorder = Recorder(task)
    if is_empty(data):
        logger.warning("%s: no data (it was skipped)", task.name)
    else:
        with offline(scratch) as private:
            link = private / task.name  # `datasets` tells local folders apart by their last name
            link.symlink_to(Path(data).absolute())
            try:
                about["differences"] = list(differences(task, folder=link)) if task.check != "off" else []
                refuse(task, about["differences"])
                recorder.score(mteb_task(task, folder=link))
            except InputError:
                raise
            except Exception as error:  # whatever mteb, datasets or a parser raises
                said = " ".join(str(error).split())[:300]
                raise InputError(
                    f"benchmark task {task.name}: mteb cannot read {task.mteb.repository}@{task.mteb.revision} in "
                    f"{data}: {type(error).__name__}: {said}; fetch it again (delete {data}), or take the task out"
                ) from error
    rows = sorted(recorder.texts, key=lambda row: (row.split, row.field, row.id))
    write_rows(texts, schema=TEXTS, rows=rows, metadata={"task": task.name, "source": task.mteb.repository})
    write_json(checked, about | {"texts": len(rows)})
    return {"texts": len(rows), "differences": len(about["differences"])}


def refuse(task: Task, found: list[dict[str, Any]]) -> None:
    """Raise an InputError for differences that the stanza does not allow; log the others."""
    lines = [f"{one['where']}: {one['found']} here, {one['expected']} in mteb's statistics" for one in found]
    where = f"benchmark task {task.name}"
    fatal = [line for line, one in zip(lines, found, strict=True) if not one["of_texts"] or task.check == "strict"]
    if fatal:
        rest = f", and {len(fatal) - MOST_SHOWN} more" if len(fatal) > MOST_SHOWN else ""
        raise InputError(
            f"{where}: the data are not those that mteb scores: {'; '.join(fatal[:MOST_SHOWN])}{rest}"
            "; fetch the pinned revision again, or say `check: off` in the benchmark if you know why"
        )
    if lines:
        logger.warning("%s: its texts differ from mteb's statistics: %s", task.name, "; ".join(lines[:MOST_SHOWN]))


def differences(task: Task, *, folder: Path) -> Iterator[dict[str, Any]]:
    """Yield where the statistics of the data in `folder` differ from those that mteb ships."""
    made = mteb_task(task, folder=folder)
    made.load_data()
    missing = [subset for subset in task.mteb.subsets if made.metadata.is_multilingual and subset not in made.dataset]
    if missing:
        raise InputError(f"benchmark task {task.name}: the data have no subset {', '.join(missing)}; fetch them again")
    shipped = made.metadata.descriptive_stats
    if shipped is None:
        logger.warning("%s: mteb ships no statistics of its data; only the hashes of the files are checked", task.name)
        return
    for split in task.mteb.splits:
        for subset in task.mteb.subsets if made.metadata.is_multilingual else (None,):
            expected = shipped.get(split) or {}
            if subset is not None:
                expected = expected.get("hf_subset_descriptive_stats", {}).get(subset) or {}
            found = made._calculate_descriptive_statistics_from_split(split, hf_subset=subset)
            where = " ".join(filter(None, (split, subset)))
            yield from _compared(expected, found, where=where)


def _compared(expected: Any, found: Any, *, where: str, text: bool = False) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    if isinstance(expected, Mapping):
        there = found if isinstance(found, Mapping) else {}
        if expected and all(str(key).lstrip("-").isdigit() for key in expected):  # counts by label
            there = {str(key): value for key, value in there.items()}
        for key, value in expected.items():
            if key != "hf_subset_descriptive_stats":
                of_texts = text or any(word in key for word in OF_TEXTS)
                yield from _compared(value, there.get(key), where=f"{where} {key}", text=of_texts)
    elif expected is not None and found is not None:
        close = isinstance(expected, int | float) and abs(float(expected) - float(found)) <= CLOSE * max(
            1, abs(expected)
        )
        if not close and expected != found:
            yield {"where": where, "expected": expected, "found": found, "of_texts": text}
    elif expected is not None and not text:
        yield {"where": where, "expected": expected, "found": None, "of_texts": text}


class Recorder:
    """mteb's encoder protocol for a model of two numbers a text, which keeps what it has read."""

    def __init__(self, task: Task) -> None:
        self._splits = task.mteb.splits
        self.texts: set[Text] = set()

    def score(self, made: "AbsTask") -> None:
        """Let mteb score a task with this model."""
        import mteb
        from mteb.models.model_meta import ModelMeta

        identity = {"name": "f2llm/recorder", "revision": "none", "modalities": ["text"]}
        self.mteb_model_meta = ModelMeta.create_empty(overwrites=identity)
        mteb.evaluate(
            self, made, cache=None, overwrite_strategy="always", co2_tracker=False, show_progress_bar=False,
            encode_kwargs={"batch_size": 256, "show_progress_bar": False},
        )  # fmt: skip

    def encode(
        self,
        inputs: Any,  # noqa: ANN401 - a DataLoader of dicts
        *,
        task_metadata: Any,  # noqa: ANN401 - mteb's TaskMetadata
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,  # noqa: ANN401 - mteb's PromptType
        **_: Any,  # noqa: ANN401
    ) -> NDArray[np.float32]:
        """Return a direction of the plane for each text, by its hash."""
        texts = [text for batch in inputs for text in batch["text"]]
        field = FIELDS.get(getattr(prompt_type, "value", None), "text")
        # What a probe is fitted on is no scored text; that name says so to curation.
        split = PROBE if hf_split not in self._splits else SCORED if hf_split == PROBE else hf_split
        self.texts.update(Text(task_metadata.name, split, doc_id(text).hex(), field, text) for text in texts)
        angles = np.array([int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    def similarity(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return all cosines."""
        return np.asarray(left) @ np.asarray(right).T

    def similarity_pairwise(self, left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosine of each row of `left` with the same row of `right`."""
        return (np.asarray(left) * np.asarray(right)).sum(-1)
