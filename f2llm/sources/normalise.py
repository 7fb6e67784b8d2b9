"""Turn a source's files into its corpus, queries and origins, with every row accounted for.

Equal texts collapse into one id: their positives and negatives are merged, the smallest group
decides the split. Queries without a positive are left out. DuckDB sorts out of core with a memory
limit, and Python sees one query at a time, so memory does not grow with the source.

A graded pair (sts) is one row of queries: text = first text, positives = the second, grade. Its
`query_id` is that of "first U+001F second", because one first text has several graded partners.
"""

import contextlib
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from f2llm.config.exclusions import Exclusion
from f2llm.jobs.progress import progress
from f2llm.records import sql
from f2llm.records.errors import InputError
from f2llm.records.files import clear_left_overs, read_json
from f2llm.records.schemas.sources import CORPUS, ORIGINS, QUERIES, SKIPPED
from f2llm.records.tables import write_table
from f2llm.rows.archives import RawFile, raw_files
from f2llm.sources.adapters import read_records
from f2llm.sources.collapse import merge_queries
from f2llm.sources.exclude import without_excluded
from f2llm.sources.records import PASSAGE, QUERY, Record
from f2llm.sources.staging import POSITIVE, SCHEMAS, Staged, stage_records

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_MB = 200  # of the engine; the process takes about 400 MB more
BATCH_ROWS = 8192
MOST_FAULTS = 5
MOST_CLASSES = 1000  # of a classification source, whose other labels are negatives of every text
SEVERAL_LABELS = "equal texts under several labels"
NO_POSITIVE = "query has no positive"
TABLES = {"corpus": CORPUS, "queries": QUERIES, "origins": ORIGINS}
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The part of a stanza that decides the tables: a change elsewhere in it re-reads nothing."""

    name: str
    task: str
    adapter: str
    options: dict[str, Any] = field(default_factory=dict)
    held_out: bool = True
    exclude: tuple[Exclusion, ...] = ()


def normalise_source(
    source: Reading,
    *,
    raw: str | Path,
    manifest: str | Path,
    folder: str | Path,
    on_error: str,
    memory_mb: int = MEMORY_MB,
) -> dict[str, Any]:
    """Write corpus, queries and origins of `source` to `folder` and return the counts.

    For each role (query, passage): read = kept + collapsed + the sum of skipped. With `on_error`
    "skip" a source that cannot be read gives empty tables and the count `skipped`, the reason.

    Raises:
        InputError: the files do not fit the stanza, a key names two passages, or nothing is left; only
            if `on_error` is "fail".
    """
    folder, content = Path(folder), read_json(manifest)
    staging = folder / ".staging.part"
    clear_left_overs(folder)
    try:
        if "skipped" in content:
            return _write_empty(folder, content["skipped"])
        with raw_files(raw, [entry["name"] for entry in content["files"]]) as files:
            return _normalise(source, files, folder=folder, staging=staging, memory_mb=memory_mb)
    except InputError as error:
        if on_error != "skip":
            raise
        logger.warning("source %s is skipped: %s", source.name, error)
        return _write_empty(folder, str(error))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def adapted(source: Reading, files: Sequence[RawFile]) -> Iterator[Record]:
    """Yield the records of a source's files, without those that the user excludes."""
    records = read_records(files, name=source.name, adapter=source.adapter, options=source.options)
    return without_excluded(records, source.exclude, task=source.task) if source.exclude else records


def _normalise(
    source: Reading, files: Sequence[RawFile], *, folder: Path, staging: Path, memory_mb: int
) -> dict[str, Any]:
    records = progress(adapted(source, files), f"read {source.name}", total=None, unit="records")
    with used_records(records, source, staging=staging, memory_mb=memory_mb) as (database, staged, dangling):
        labels = _label_ids(database, source)
        _refuse_empty(database, staged, where=f"source {source.name}")
        merged = merge_queries(
            _batches(database, _QUERIES), _batches(database, _LINKS), labels=labels, held_out=source.held_out
        )
        kept = {
            PASSAGE: write_table(folder / "corpus.parquet", schema=CORPUS, rows=_without_repeats(database, _CORPUS)),
            QUERY: write_table(folder / "queries.parquet", schema=QUERIES, rows=merged),
        }
        origins = write_table(folder / "origins.parquet", schema=ORIGINS, rows=_without_repeats(database, _ORIGINS))
    return _counts(staged, kept) | {"origins": origins} | ({"links_without_passage": dangling} if dangling else {})


@contextlib.contextmanager
def used_records(
    records: Iterable[Record],
    source: Reading,
    *,
    staging: Path,
    memory_mb: int = MEMORY_MB,
    unusable: Callable[[], Collection[str] | None] | None = None,
) -> Iterator[tuple["DuckDBPyConnection", Staged, int]]:
    """Yield a database of the records that can be used, the counts of all, and how many links lead to no passage.

    `unusable` is called after the last record. Where more could follow, it gives the keys of the passages that cannot
    be used: no query is left out for others that are not there. Else it gives None.

    Raises:
        InputError: the records do not fit the task, or a key names two passages.
    """
    # One pass over the raw files writes all records to disk, unsorted; everything after it is SQL.
    staged = stage_records(records, staging, task=source.task, source=source.name)
    with sql.database(memory_mb=memory_mb, spill=staging / "spilled", threads=1) as database:
        _create_views(database, staging)
        # In this order: keys are made of the passages that remain, and only keys tell which queries have a positive.
        _leave_out(database, _AMBIGUOUS, staged, SEVERAL_LABELS, QUERY, PASSAGE)
        _create_keys(database, where=f"source {source.name}")
        if unusable is not None and (keys := unusable()) is not None:
            _take_as_there(database, without=keys)
        yield database, staged, _leave_out_unanswered(database, staged, source)


def _counts(staged: Staged, kept: dict[str, int]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for role, plural in ((QUERY, "queries"), (PASSAGE, "passages")):
        read, skipped = staged.read[role], staged.skipped[role]
        counts |= {
            f"{plural}_read": read,
            f"{plural}_kept": kept[role],
            f"{plural}_collapsed": read - kept[role] - skipped.total(),
            f"{plural}_skipped": dict(sorted(skipped.items())),
        }
    return counts


def _write_empty(folder: Path, reason: str) -> dict[str, Any]:
    for name, schema in TABLES.items():
        write_table(folder / f"{name}.parquet", schema=schema, rows=[], metadata={SKIPPED: reason})
    return {"queries_kept": 0, "passages_kept": 0, "skipped": reason}


# Each SELECT below is in the order that its table needs.
_CORPUS = "SELECT doc_id, text, content_key FROM passages ORDER BY doc_id"
_QUERIES = """
    SELECT query_id, text, label, grade, "group" FROM queries ORDER BY query_id, grade, "group"
"""
_LINKS = """
    SELECT query_id, kind, doc_id FROM links JOIN keys USING (key) ORDER BY query_id, kind, file, "row", record, ordinal
"""
_ORIGINS = f"""
    SELECT file, "row", field, '{QUERY}' AS role, query_id AS id FROM queries
    UNION ALL SELECT file, "row", field, '{PASSAGE}', doc_id FROM passages
    ORDER BY file, "row", field, id, role
"""
_TWO_TEXTS = """
    SELECT key, min(file || ' row ' || "row"), max(file || ' row ' || "row") FROM passages
    GROUP BY key HAVING count(DISTINCT doc_id) > 1 ORDER BY key
"""
_DANGLING = 'SELECT key, file, "row" FROM links ANTI JOIN keys USING (key)'
_UNANSWERED = f"""
    SELECT record FROM queries ANTI JOIN
    (SELECT query_id FROM links JOIN keys USING (key) WHERE kind = {POSITIVE}) USING (query_id)
"""
# Texts that carry several labels: no label is the right one.
_AMBIGUOUS = """
    SELECT record FROM queries SEMI JOIN
    (SELECT query_id FROM queries GROUP BY query_id HAVING count(DISTINCT label) > 1) USING (query_id)
"""


def _create_views(database: "DuckDBPyConnection", staging: Path) -> None:
    """Make each staged file a view, without the records that are left out."""
    database.execute("CREATE TABLE left_out (record BIGINT)")
    for name in SCHEMAS:
        path = str(staging / f"{name}.parquet").replace("'", "''")
        database.execute(
            f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{path}') ANTI JOIN left_out USING (record)"
        )


def _leave_out(database: "DuckDBPyConnection", query: str, staged: Staged, reason: str, *roles: str) -> None:
    """Leave out the records of `query`, and count them as skipped for `reason`."""
    (count,) = database.execute(f"INSERT INTO left_out {query}").fetchone()
    for role in roles if count else ():
        staged.skipped[role][reason] += count


def _create_keys(database: "DuckDBPyConnection", *, where: str) -> None:
    """Create the table `keys` (key -> doc_id); refuse keys that name two texts."""
    faults = [
        f"{where}: key {key!r} names two texts ({first}; {second}); correct the data or the adapter"
        for key, first, second in database.execute(_TWO_TEXTS).fetchmany(MOST_FAULTS)
    ]
    if faults:
        raise InputError(faults)
    database.execute("CREATE TABLE keys AS SELECT key, min(doc_id) AS doc_id FROM passages GROUP BY key")


def _take_as_there(database: "DuckDBPyConnection", *, without: Collection[str]) -> None:
    """Add all keys that are named and not there, but for some, to the table `keys`."""
    database.execute("CREATE TEMP TABLE unusable AS SELECT unnest(?::VARCHAR[]) AS key", [list(without)])
    database.execute(
        "INSERT INTO keys SELECT DISTINCT key, NULL FROM links ANTI JOIN keys USING (key) "
        "ANTI JOIN unusable USING (key)"
    )


def _leave_out_unanswered(database: "DuckDBPyConnection", staged: Staged, source: Reading) -> int:
    """Leave out queries whose positives are all missing; return how many links name a missing passage.

    A passage is missing because its text was skipped, or because the files lack it.
    """
    if source.task != "retrieval":
        return 0
    dangling = database.execute(f"SELECT count(*) FROM ({_DANGLING})").fetchone()[0]
    for key, file, row in database.execute(f'{_DANGLING} ORDER BY file, "row", key').fetchmany(MOST_FAULTS):
        logger.warning("source %s: %s row %s: passage %r is named, but is not there", source.name, file, row, key)
    _leave_out(database, _UNANSWERED, staged, NO_POSITIVE, QUERY)
    return dangling


def _refuse_empty(database: "DuckDBPyConnection", staged: Staged, *, where: str) -> None:
    if database.execute("SELECT count(*) FROM queries").fetchone()[0]:
        return
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in staged.skipped[QUERY].most_common(3))
    raise InputError(
        f"{where}: no rows are left of {staged.read[QUERY]:,} read{': ' if reasons else ''}{reasons}; "
        "check the stanza's options against the files"
    )


def _label_ids(database: "DuckDBPyConnection", source: Reading) -> dict[str, bytes]:
    """Label -> doc_id for classification, in the order of the labels; empty for other tasks."""
    if source.task not in ("classification", "clustering"):
        return {}
    count = database.execute("SELECT count(DISTINCT label) FROM queries").fetchone()[0]
    advice = "check the label column and the option `labels`"
    if count == 1:
        raise InputError(f"source {source.name}: all texts have the same label, at least two are needed; {advice}")
    if source.task == "clustering":
        return {}
    if count > MOST_CLASSES:
        raise InputError(
            f"source {source.name}: {count:,} labels, classification takes at most {MOST_CLASSES:,}; {advice}, or use "
            "task: clustering"
        )
    return dict(database.execute("SELECT key, doc_id FROM keys ORDER BY key").fetchall())


def _batches(database: "DuckDBPyConnection", query: str) -> Iterator[pa.RecordBatch]:
    yield from database.cursor().sql(query).to_arrow_reader(BATCH_ROWS)


def _without_repeats(database: "DuckDBPyConnection", query: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a sorted query without rows that equal the one before them."""
    last: tuple[Any, ...] | None = None
    for batch in _batches(database, query):
        keep = []
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            keep.append(row != last)
            last = row
        yield batch.filter(pa.array(keep, pa.bool_()))
