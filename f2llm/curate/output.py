"""Write the curated tables of a source in their defined orders, streaming the texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from f2llm.curate.ledger import Ledger
from f2llm.curate.links import Links
from f2llm.curate.near import Edges
from f2llm.curate.passages import Passages
from f2llm.curate.queries import Queries
from f2llm.curate.rows import Mask
from f2llm.records.schemas.curate import NEAR, REMOVED
from f2llm.records.schemas.sources import CORPUS, QUERIES, SKIPPED
from f2llm.records.tables import count_rows, numbered, read_batches, write_table


class Outputs(NamedTuple):
    """The five tables that curation makes."""

    corpus: str | Path
    queries: str | Path
    removed: str | Path
    near: str | Path
    hits: str | Path


def write_passages(path: str | Path, passages: Passages, live: Mask) -> int:
    """Write the live passages and return their number."""
    rows = (batch.filter(pa.array(live[at : at + len(batch)])) for at, batch in numbered(read_batches(passages.path)))
    return write_table(path, schema=CORPUS, rows=rows)


def write_queries(
    path: str | Path, queries: Queries, live: Mask, *, positives: Links, negatives: Links, ids: pa.Array, skipped: str
) -> int:
    """Write the live queries with their settled links and return their number.

    `ids` are the passages', `skipped` says why the source was skipped, if it was.
    """
    order = np.lexsort((positives.passage, positives.query))  # a row's place is its id's place
    positives = Links(positives.query[order], positives.passage[order])

    def settled() -> Iterator[pa.Table]:
        for rows, batch in queries.batches():
            table = pa.Table.from_batches([batch.filter(pa.array(live[rows]))])
            for name, links in (("positives", positives), ("negatives", negatives)):
                column = links.column(rows[live[rows]], ids)
                table = table.set_column(table.schema.get_field_index(name), QUERIES.field(name), column)
            yield table

    return write_table(path, schema=QUERIES, rows=settled(), metadata={SKIPPED: skipped} if skipped else None)


def write_removed(path: str | Path, *, passages: tuple[Ledger, pa.Array], queries: tuple[Ledger, pa.Array]) -> int:
    """Write all removed rows: passages before queries, each by id."""
    parts = (ledger.batches(ids, role=role) for role, (ledger, ids) in (("passage", passages), ("query", queries)))
    return write_table(path, schema=REMOVED, rows=(batch for part in parts for batch in part))


def write_near(path: str | Path, edges: Edges, *, live: Mask, ids: pa.Array) -> int:
    """Write the near pairs of which both passages are live, each once, the lower id first."""
    kept = live[edges.left] & live[edges.right]
    lower, upper = np.minimum(edges.left, edges.right)[kept], np.maximum(edges.left, edges.right)[kept]
    order = np.lexsort((upper, lower))
    columns = {
        "doc_id": ids.take(pa.array(lower[order])),
        "other_id": ids.take(pa.array(upper[order])),
        "similarity": pa.array(edges.similarity[kept][order], pa.float32()),
    }
    return write_table(path, schema=NEAR, rows=[pa.table(columns)])


def check_account(*, rows: int, kept: int, ledger: Ledger, path: str | Path) -> None:
    """Assert that rows in = rows out + rows removed, and that the written table has them."""
    removed = int((~ledger.live).sum())
    if rows != kept + removed or count_rows(path) != kept:
        raise AssertionError(f"{path}: {rows} rows in, {kept} kept, {removed} removed, {count_rows(path)} written")
