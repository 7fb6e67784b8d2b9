"""How many jobs share the work on one source: from the counts that its stanza expects, before anything runs."""

import math

from f2llm.config.mine import Mine
from f2llm.config.sources import Source

# Bounds the number of jobs of a run, whatever its sources state.
MOST_JOBS = 64


def embed_jobs(source: Source, mine: Mine) -> int:
    """Return how many jobs encode the texts of a source; 1 where its counts are not stated."""
    return _jobs(source, source.stated_queries + source.stated_passages, mine.texts_per_job)


def mine_jobs(source: Source, mine: Mine) -> int:
    """Return how many jobs search for the queries of a source; 1 where their number is not stated."""
    return _jobs(source, source.stated_queries, mine.queries_per_job)


def _jobs(source: Source, rows: int, rows_a_job: int) -> int:
    if source.ready or source.task != "retrieval":
        return 1  # no retriever
    return min(MOST_JOBS, max(1, math.ceil(rows / rows_a_job)))
