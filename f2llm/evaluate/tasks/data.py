"""The rows of a task, and the folder in which mteb finds them.

The folder is a complete data set: JSON lines and a README.md whose YAML names configurations, files and columns, so
`datasets.load_dataset(folder, config)` reads it anywhere. The scored rows are always its split `test`, whatever split
of the source they come from.

The cache of `datasets` identifies a local folder by its last name and its README alone: of two folders `.../data` with
the same layout it would return the rows of the first for both. So each configuration is described by the hash of its
files.
"""

import hashlib
import json
from collections import namedtuple
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from f2llm.config.benchmarks import COLUMNS, SEARCHED, Task
from f2llm.records.files import TIMESTAMP, atomic_folder, sha256_file
from f2llm.records.schemas.tasks import TEXTS
from f2llm.records.tables import write_rows

SCORED, PROBE = "test", "train"


class TaskText(namedtuple("TaskText", TEXTS.names)):
    """A text of a task that training must not contain: a row of texts.parquet."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """A task's rows, ready to be written: stem of a file -> rows, in order; and the texts that are scored."""

    files: Mapping[str, list[dict[str, Any]]]
    texts: tuple[TaskText, ...]
    label_names: tuple[str, ...] = ()  # classification: the classes that labels are numbers of

    def counts(self) -> dict[str, int]:
        """The number of rows of each file."""
        return {name: len(rows) for name, rows in self.files.items()}


def write_task_data(folder: str | Path, data: TaskData, *, task: Task) -> None:
    """Write the folder of a task, atomically."""
    with atomic_folder(folder) as aside:
        for name, rows in data.files.items():
            with open(aside / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (aside / "README.md").write_text(_card(aside, data, task), encoding="utf-8")


def write_texts(
    path: str | Path, texts: Iterable[TaskText], *, task: Task, notes: Mapping[str, str] | None = None
) -> int:
    """Write the distinct texts of a task (schema TEXTS), with `notes` in the metadata; return their number."""
    rows = sorted(set(texts), key=lambda row: (row.split, row.field, row.id))
    metadata = {"task": task.name, "source": origin_of(task), **(notes or {})}
    return write_rows(path, schema=TEXTS, rows=rows, metadata=metadata)


def origin_of(task: Task) -> str:
    """Where the rows of a task come from: a repository, the name of a source, or a folder."""
    return task.mteb.repository if task.mteb else task.source or task.data


def is_empty(folder: str | Path) -> bool:
    """Whether nothing can be scored because the source was skipped: no files, or an empty one besides the probe's."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and path.name != TIMESTAMP]
    scored = [path for path in files if path.parent == Path(folder) and path.suffix == ".jsonl" and path.stem != PROBE]
    return not files or any(path.stat().st_size == 0 for path in scored)


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """Read a JSON lines file of a task."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _digest(folder: Path, stems: Iterable[str]) -> str:
    hashes = [sha256_file(folder / f"{stem}.jsonl") for stem in sorted(stems)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _card(folder: Path, data: TaskData, task: Task) -> str:
    if task.type in SEARCHED:
        configs = {name: {SCORED: name} for name in SEARCHED[task.type]}
        columns = {name: COLUMNS[name] for name in configs}
    else:
        configs = {"default": {name: name for name in data.files}}
        columns = {"default": COLUMNS[task.type]}
    header = {
        "configs": [
            {
                "config_name": name,
                "description": f"sha256 {_digest(folder, files.values())}",
                "data_files": [{"split": split, "path": f"{stem}.jsonl"} for split, stem in sorted(files.items())],
            }
            for name, files in configs.items()
        ],
        "dataset_info": [
            {"config_name": name, "features": [_feature(column, kind, data) for column, kind in kinds.items()]}
            for name, kinds in columns.items()
        ],
    }
    origin = f"drawn from the source `{task.source}` (its rows of split: {task.split})"
    text = f"# {task.name}\n\nA {task.type} task {f'of the files in `{task.data}`' if task.data else origin}."
    front = yaml.safe_dump(header, sort_keys=False)
    return f"---\n{front}---\n\n{text}\nThe rights on the texts are those of the source.\n"


def _feature(column: str, kind: str, data: TaskData) -> dict[str, Any]:
    if data.label_names and column == "label":
        return {"name": column, "dtype": {"class_label": {"names": dict(enumerate(data.label_names))}}}
    return {"name": column, "list": kind.strip("[]")} if kind.startswith("[") else {"name": column, "dtype": kind}
