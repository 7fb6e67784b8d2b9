"""How many texts a task has decides what its jobs ask for, and how many there are."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.benchmarks import MtebData, Task
from f2llm.estimate.task_rows import UNSTATED_TEXTS, shards, task_rows

DATA = MtebData(
    repository="a/b",
    revision="f" * 40,
    splits=("test",),
    subsets=("default",),
    type="Retrieval",
    main_score="x",
    texts=7,
)


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (Task(name="m", type="retrieval", mteb=DATA), 7),
        (Task(name="d", type="retrieval", source="s", queries=2, passages=3), 5),
        (Task(name="d", type="classification", source="s", train_texts=3), UNSTATED_TEXTS + 3),
    ],
)
def test_rows_are_those_that_mteb_states_or_that_are_drawn(task, rows):
    assert task_rows(task) == rows


def test_rows_of_files_of_ones_own_are_counted(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("{}\n" * 4)
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "queries.parquet")
    (tmp_path / "notes.txt").write_text("not a table\n")
    (tmp_path / "qrels.parquet").write_bytes(b"torn")
    assert task_rows(Task(name="own", type="retrieval", data=str(tmp_path))) == 7
    assert task_rows(Task(name="own", type="retrieval", data=str(tmp_path / "absent"))) == 0


@pytest.mark.parametrize(("most", "jobs"), [(7, 0), (6, 2), (3, 3), (1, 7)])
def test_a_task_with_more_texts_than_a_job_takes_is_shared(most, jobs):
    assert shards(Task(name="m", type="retrieval", mteb=DATA), shard_texts=most) == jobs


def test_texts_without_passages_and_drawn_ones_are_not_shared():
    assert shards(Task(name="m", type="sts", mteb=DATA), shard_texts=1) == 0
    assert shards(Task(name="d", type="retrieval", source="s", queries=9), shard_texts=1) == 0
