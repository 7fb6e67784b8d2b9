"""Comparison of our mined tuples of a source with published ones: what both have, what only one side has.

Texts are compared by their E1 keys, so ids, row order and spacing do not matter. The published tuples are
a source of ready tuples (`ready: true` in its stanza), fetched and normalised like any other.
DuckDB does the joins with a memory limit.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.records import sql
from f2llm.records.files import write_json
from f2llm.records.schemas.sources import SKIPPED
from f2llm.records.tables import read_metadata
from f2llm.records.text_keys import content_key

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EXAMPLES = 5  # of each kind
MEMORY_MB = 1000
logger = logging.getLogger(__name__)


def compare_tuples(
    *,
    tuples: str | Path,
    corpus: str | Path,
    queries: str | Path,
    their_corpus: str | Path,
    their_queries: str | Path,
    output: str | Path,
) -> dict[str, Any]:
    """Write how two sets of tuples of one source agree, with examples; return the figures.

    Over queries: `common`, `ours_only`, `theirs_only`. Over common queries: `same_positive` have a positive in
    common; `negatives_common` of `negatives_ours` and `negatives_theirs` (distinct per query). Our side is a table of
    mined tuples with the curated tables whose rows they name, theirs the normalised tables of ready tuples. Where one
    side was skipped, the figures say why in `skipped`.
    """
    scratch = Path(output).parent
    scratch.mkdir(parents=True, exist_ok=True)
    with sql.database(memory_mb=MEMORY_MB, spill=scratch / ".compare.part", threads=1) as database:
        database.create_function("e1", content_key, ["VARCHAR"], "VARCHAR")
        tables = {"tuples": tuples, "corpus": corpus, "queries": queries}
        _read(database, tables | {"their_corpus": their_corpus, "their_queries": their_queries})
        database.execute(_JOINED)
        (figures,) = database.sql(_COUNTS).to_arrow_table().to_pylist()
        examples = {kind: _examples(database, where) for kind, where in _EXAMPLES.items()}
    reasons = {read_metadata(path).get(SKIPPED) for path in (queries, their_queries)} - {None}
    if reasons:
        figures[SKIPPED] = "; ".join(sorted(reasons))
        logger.warning("nothing to compare: a source was skipped: %s", figures[SKIPPED])
    write_json(output, figures | {"examples": examples})
    return figures


def shares(figures: dict[str, int]) -> dict[str, float]:
    """The figures as shares in percent: of queries, of common queries, of the negatives of these."""

    def share(part: str, *whole: str) -> float:
        total = sum(figures[name] for name in whole)
        return 100 * figures[part] / total if total else 0.0

    return {
        "theirs_found": share("common", "common", "theirs_only"),
        "ours_known": share("common", "common", "ours_only"),
        "same_positive": share("same_positive", "common"),
        "their_negatives_found": share("negatives_common", "negatives_theirs"),
    }


def _read(database: "DuckDBPyConnection", tables: Mapping[str, str | Path]) -> None:
    """Make the tables ours and theirs: query key, text, keys of positives and of negatives."""
    for name, path in tables.items():
        quoted = str(path).replace("'", "''")
        database.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{quoted}', file_row_number = true)")
    for statement in (_OURS, _THEIRS):
        database.execute(statement)


def _examples(database: "DuckDBPyConnection", where: str) -> Sequence[str]:
    rows = database.execute(f"SELECT text FROM joined WHERE {where} ORDER BY key LIMIT {EXAMPLES}").fetchall()
    return [text for (text,) in rows]


_OURS = """
    CREATE TABLE ours AS
    WITH links AS (
        SELECT query_row, positive_row AS row, true AS positive FROM tuples
        UNION ALL SELECT query_row, unnest(negative_rows), false FROM tuples
    )
    SELECT e1(any_value(q.text)) AS key, any_value(q.text) AS text,
        list_distinct(list(c.content_key) FILTER (positive)) AS positives,
        list_distinct(list(c.content_key) FILTER (NOT positive)) AS negatives
    FROM links JOIN queries q ON q.file_row_number = query_row JOIN corpus c ON c.file_row_number = links.row
    GROUP BY query_row
"""
_THEIRS = """
    CREATE TABLE theirs AS
    WITH links AS (
        SELECT query_id, unnest(positives) AS doc_id, true AS positive FROM their_queries
        UNION ALL SELECT query_id, unnest(negatives), false FROM their_queries
    )
    SELECT e1(any_value(q.text)) AS key, any_value(q.text) AS text,
        list_distinct(list(c.content_key) FILTER (positive)) AS positives,
        coalesce(list_distinct(list(c.content_key) FILTER (NOT positive)), []) AS negatives
    FROM links JOIN their_queries q USING (query_id) JOIN their_corpus c USING (doc_id)
    GROUP BY query_id
"""
# Several queries of one side may have one E1 key; each is then met with each.
_JOINED = """
    CREATE TABLE joined AS
    SELECT coalesce(o.key, t.key) AS key, coalesce(o.text, t.text) AS text,
        o.key IS NOT NULL AS in_ours, t.key IS NOT NULL AS in_theirs,
        coalesce(len(list_intersect(o.positives, t.positives)), 0) AS positives,
        coalesce(len(list_intersect(o.negatives, t.negatives)), 0) AS negatives,
        coalesce(len(o.negatives), 0) AS negatives_ours, coalesce(len(t.negatives), 0) AS negatives_theirs
    FROM ours o FULL JOIN theirs t USING (key)
"""
_COUNTS = """
    SELECT count(*) FILTER (in_ours AND in_theirs) AS common,
        count(*) FILTER (NOT in_theirs) AS ours_only, count(*) FILTER (NOT in_ours) AS theirs_only,
        count(*) FILTER (in_ours AND in_theirs AND positives > 0) AS same_positive,
        coalesce(sum(negatives) FILTER (in_ours AND in_theirs), 0)::BIGINT AS negatives_common,
        coalesce(sum(negatives_ours) FILTER (in_ours AND in_theirs), 0)::BIGINT AS negatives_ours,
        coalesce(sum(negatives_theirs) FILTER (in_ours AND in_theirs), 0)::BIGINT AS negatives_theirs
    FROM joined
"""
_EXAMPLES = {
    "ours_only": "NOT in_theirs",
    "theirs_only": "NOT in_ours",
    "other_positive": "in_ours AND in_theirs AND positives = 0",
}
