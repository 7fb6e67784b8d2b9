"""Into how many jobs the work on a source or a task is split, from counts that are known before anything runs."""

import functools
import math
from pathlib import Path

from f2llm.config.benchmarks import SEARCHED, Task
from f2llm.config.mine import Mine
from f2llm.config.sources import Source
from f2llm.rows.layout import TABLES, holds_rows

# Bounds the number of jobs of a run, whatever its sources state.
MOST_JOBS = 64
# Texts of a drawn task that states no number of rows.
UNSTATED_TEXTS = 200
BLOCK = 1 << 20


def embed_jobs(source: Source, mine: Mine) -> int:
    """Number of jobs that encode the texts of a source; 1 where its counts are not stated."""
    return _jobs(source, source.stated_queries + source.stated_passages, mine.texts_per_job)


def mine_jobs(source: Source, mine: Mine) -> int:
    """Number of jobs that search for the queries of a source; 1 where the number of queries is not stated."""
    return _jobs(source, source.stated_queries, mine.queries_per_job)


def shards(task: Task, *, shard_texts: int) -> int:
    """Number of jobs that encode the passages of a task before it is scored; 0: the scoring job encodes them."""
    texts = task_rows(task) if task.kind != "drawn" and task.type in SEARCHED else 0
    return math.ceil(texts / shard_texts) if texts > shard_texts else 0


def task_rows(task: Task) -> int:
    """Texts of a task before its data are made: mteb's count, the rows of local files, or the rows to be drawn."""
    if task.mteb:
        return task.mteb.texts
    if task.data:
        # An absent folder has no tables, and the job that reads it reports that.
        tables = [
            path for path in sorted(Path(task.data).glob("*")) if path.is_file() and holds_rows(path.name, of=TABLES)
        ]
        return sum(_file_rows(str(path), path.stat().st_mtime_ns) for path in tables)
    return (task.queries or UNSTATED_TEXTS) + (task.passages or 0) + (task.train_texts or 0)


def _jobs(source: Source, rows: int, rows_per_job: int) -> int:
    return min(MOST_JOBS, max(1, math.ceil(rows / rows_per_job))) if source.searched else 1


@functools.lru_cache(maxsize=1000)
def _file_rows(path: str, _changed: int) -> int:
    """Rows of a Parquet table, or lines of a text file; cached until the file changes."""
    if path.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            return pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowInvalid):
            return 0  # the job that reads it says what is wrong
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(functools.partial(file.read, BLOCK), b""))
