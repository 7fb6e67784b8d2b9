"""Into how many jobs work is split: by the counts that a stanza states, and by the texts of a task."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.benchmarks import MtebData, Task
from f2llm.config.load import load_run_file
from f2llm.config.sources import Expected
from f2llm.config.stanzas import filled
from f2llm.estimate.job_shares import MOST_JOBS, UNSTATED_TEXTS, embed_jobs, mine_jobs, shards, task_rows

RUN = load_run_file(Path(__file__).parents[3] / "config" / "config.yaml")
MINE = dataclasses.replace(RUN.mine, texts_per_job=1000, queries_per_job=100)
DATA = MtebData(
    repository="a/b",
    revision="f" * 40,
    splits=("test",),
    subsets=("default",),
    type="Retrieval",
    main_score="x",
    texts=7,
)


def source(queries, passages=0, **changes):
    expected = Expected(queries=queries, passages=passages, query_tokens=None, passage_tokens=None)
    return dataclasses.replace(RUN.sources[0], expected=expected, max_queries=None, max_passages=None, **changes)


@pytest.mark.parametrize(("queries", "jobs"), [(None, 1), (100, 1), (101, 2), (10**9, MOST_JOBS)])
def test_queries_are_shared_by_as_many_jobs_as_their_stated_count_needs(queries, jobs):
    assert mine_jobs(source(queries), MINE) == jobs


def test_texts_are_those_of_both_roles_within_the_caps():
    assert embed_jobs(source(500, 500), MINE) == 1 and embed_jobs(source(500, 501), MINE) == 2
    capped = dataclasses.replace(source(5000, 5000), max_queries=500, max_passages=500)
    assert embed_jobs(capped, MINE) == 1


@pytest.mark.parametrize("changes", [{"ready": True}, {"task": "clustering"}, {"task": "classification"}])
def test_sources_that_no_retriever_searches_are_one_job(changes):
    assert embed_jobs(source(10**6, 10**6, **changes), MINE) == mine_jobs(source(10**6, **changes), MINE) == 1


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (filled(Task, name="m", type="retrieval", mteb=DATA), 7),
        (filled(Task, name="d", type="retrieval", source="s", queries=2, passages=3), 5),
        (filled(Task, name="d", type="classification", source="s", train_texts=3), UNSTATED_TEXTS + 3),
    ],
)
def test_rows_are_those_that_mteb_states_or_that_are_drawn(task, rows):
    assert task_rows(task) == rows


def test_rows_of_files_of_ones_own_are_counted(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("{}\n" * 4)
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "queries.parquet")
    (tmp_path / "notes.txt").write_text("not a table\n")
    (tmp_path / "qrels.parquet").write_bytes(b"torn")
    assert task_rows(filled(Task, name="own", type="retrieval", data=str(tmp_path))) == 7
    assert task_rows(filled(Task, name="own", type="retrieval", data=str(tmp_path / "absent"))) == 0


@pytest.mark.parametrize(("most", "jobs"), [(7, 0), (6, 2), (3, 3), (1, 7)])
def test_a_task_with_more_texts_than_a_job_takes_is_shared(most, jobs):
    assert shards(filled(Task, name="m", type="retrieval", mteb=DATA), shard_texts=most) == jobs


def test_texts_without_passages_and_drawn_ones_are_not_shared():
    assert shards(filled(Task, name="m", type="sts", mteb=DATA), shard_texts=1) == 0
    assert shards(filled(Task, name="d", type="retrieval", source="s", queries=9), shard_texts=1) == 0
