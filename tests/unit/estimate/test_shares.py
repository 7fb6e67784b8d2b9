import dataclasses
from pathlib import Path

import pytest

from f2llm.config.load import load_run_file
from f2llm.config.sources import Expected
from f2llm.estimate.shares import MOST_JOBS, embed_jobs, mine_jobs

RUN = load_run_file(Path(__file__).parents[3] / "config" / "config.yaml")
MINE = dataclasses.replace(RUN.mine, texts_per_job=1000, queries_per_job=100)


def source(queries, passages=0, **changes):
    return dataclasses.replace(
        RUN.sources[0], expected=Expected(queries=queries, passages=passages), max_queries=None, max_passages=None, **changes
    )  # fmt: skip


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
