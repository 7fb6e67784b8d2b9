"""How many texts an evaluation task has, as far as that is known before its data are made."""

import functools
import math
import os
from pathlib import Path

from f2llm.config.benchmarks import FILE_SUFFIXES, SEARCHED, Task

# Of a drawn task that states no number of rows.
UNSTATED_TEXTS = 200
BLOCK = 1 << 20


def task_rows(task: Task) -> int:
    """Return mteb's count, the rows of one's own files, or the rows that are drawn."""
    if task.mteb:
        return task.mteb.texts
    if task.data:
        return sum(_rows(str(path), os.stat(path).st_mtime_ns) for path in _files(Path(task.data)))
    return (task.queries or UNSTATED_TEXTS) + (task.passages or 0) + (task.train_texts or 0)


def shards(task: Task, *, shard_texts: int) -> int:
    """Return how many jobs encode the passages of a task before it is scored; 0: the scoring job does it alone."""
    texts = task_rows(task) if task.kind != "drawn" and task.type in SEARCHED else 0
    return math.ceil(texts / shard_texts) if texts > shard_texts else 0


def _files(folder: Path) -> list[Path]:
    """Return a folder's tables; none where it is not there, which the job that reads it says."""
    return [path for path in sorted(folder.glob("*")) if path.suffix in FILE_SUFFIXES]


@functools.lru_cache(maxsize=1000)
def _rows(path: str, _changed: int) -> int:
    """Return the rows of a table, for lines of text their number; cached until the file changes."""
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowInvalid):
            return 0  # the job that reads it says what is wrong
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(functools.partial(file.read, BLOCK), b""))
