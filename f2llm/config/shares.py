"""How many jobs share the work on one source: from the counts that its stanza expects, before anything runs."""

import math

from f2llm.config.run import Mine
from f2llm.config.sources import Source

# Bounds the number of jobs of a run, whatever its sources state.
MOST_JOBS = 64


def embed_jobs(source: Source, mine: Mine) -> int:
    """Return how many jobs encode the texts of a source; 1 where its counts are not stated."""
    expected = source.expected
    queries, passages = _capped(expected.queries, source.max_queries), _capped(expected.passages, source.max_passages)
    return _jobs(source, queries + passages, mine.texts_per_job)


def mine_jobs(source: Source, mine: Mine) -> int:
    """Return how many jobs search for the queries of a source; 1 where their number is not stated."""
    return _jobs(source, _capped(source.expected.queries, source.max_queries), mine.queries_per_job)


def _jobs(source: Source, rows: int, rows_a_job: int) -> int:
    if source.ready or source.task != "retrieval":
        return 1  # no retriever
    return min(MOST_JOBS, max(1, math.ceil(rows / rows_a_job)))


def _capped(count: int | None, cap: int | None) -> int:
    return min(count or 0, cap or count or 0)
