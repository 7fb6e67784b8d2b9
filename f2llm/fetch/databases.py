"""Rows of a query to a DuckDB or SQLite file, kept as a snapshot in Parquet. The database is read, never changed.

DuckDB has no access to files, settings or extensions while the query runs; SQLite asks an authorizer that allows
reading alone.
"""

import contextlib
import hashlib
import heapq
import itertools
import logging
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.config.fetch import Fetch
from f2llm.records.errors import InputError
from f2llm.rows.fields import number_text
from f2llm.rows.layout import unique_names

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

DUCKDB, SQLITE = "DuckDB", "SQLite"
DUCKDB_MAGIC, DUCKDB_MAGIC_AT = b"DUCK", 8
SQLITE_MAGIC = b"SQLite format 3\0"
SQLITE_WAL_MODE = b"\x02\x02"  # the bytes 18 and 19: versions of the format for writing and for reading
HEAD_BYTES = 100
MEMORY_MB = 200  # of the engine
BATCH_ROWS = 4096
SORTED_BYTES = 16 << 20  # of rows that are sorted at once; in Python they take some ten times as much
MERGED_ROWS = 128  # of each sorted part, held while the parts are merged
MERGED_PARTS = 64  # open at once; a process may open some 1,000 files
LOCK_SECONDS = 5.0  # for a program that writes to a SQLite file
NAME_DIGITS = 8
# What each engine keeps beside its file while a program writes to it.
UNWRITTEN = {DUCKDB: (".wal",), SQLITE: ("-wal", "-journal")}
LOCKED = ("Could not set lock", "is locked")
ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_TABLES = {
    DUCKDB: "SELECT CASE schema WHEN 'main' THEN '' ELSE schema END AS named, name FROM (SHOW ALL TABLES) ORDER BY ALL",
    # An index (of full-text search, of places) keeps its words in tables of its name with these endings.
    SQLITE: """
        SELECT '', name FROM sqlite_master AS listed
        WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND NOT EXISTS (
            SELECT 1 FROM sqlite_master AS index_of
            WHERE index_of.sql LIKE 'CREATE VIRTUAL TABLE%'
            AND substr(listed.name, 1, length(index_of.name) + 1) = index_of.name || '_'
            AND substr(listed.name, length(index_of.name) + 2) IN (
                'config', 'content', 'data', 'docsize', 'idx', 'node', 'parent', 'rowid', 'segdir', 'segments', 'stat'
            )
        ) ORDER BY name
    """,
}
CLOSED_TO = ("autoinstall_known_extensions", "autoload_known_extensions", "enable_external_access")
logger = logging.getLogger(__name__)


def write_snapshot(fetch: Fetch, origin: Path, folder: str | Path, *, owner: str) -> Path:
    """Write the rows that `fetch.query` takes from the database `origin` to a file of `folder`, and return its path.

    The columns are those of the query. The rows are sorted by all of them, from the left, so that equal databases
    give equal files; an ORDER BY decides only what a LIMIT takes. Memory does not grow with the rows: parts of them
    are sorted and merged from disk. The file's name holds 8 digits of the query's sha256, as one database may serve
    several queries.

    Raises:
        InputError: no database, one that another program writes to, a query that fails, that is no single SELECT or
            gives no rows, two columns of one name, or a type that Parquet has not.
    """
    where = f"{owner}: {fetch.path}"
    engine = _engine_of(origin, where=where)
    for suffix in UNWRITTEN[engine]:
        journal = origin.with_name(origin.name + suffix)
        if journal.is_file() and journal.stat().st_size:
            raise InputError(f"{where}: {journal.name} holds changes that are not in it yet; close what writes to it")
    query = re.sub(r"[\s;]+\Z", "", fetch.query or "")
    path = Path(folder, f"{origin.stem}-{hashlib.sha256(query.encode()).hexdigest()[:NAME_DIGITS]}.parquet")
    read = _duckdb_rows if engine == DUCKDB else _sqlite_rows
    with tempfile.TemporaryDirectory(prefix=".spill-", dir=folder) as spill, read(origin, query, spill, where) as rows:
        schema, batches = rows
        with _named_faults(where):
            parts = _few_parts(_sorted_parts(batches, schema, Path(spill)), schema)
            count = _write(path, schema, _merged(parts))
    if not count:
        path.unlink()
        raise InputError(f"{where}: the query gives no rows; correct `query`")
    return path


def tables_of(path: Path) -> dict[str, int]:
    """The tables and views of a database file with their numbers of rows, as SQL names them, sorted.

    Those that cannot be read (a view on files, an index of full-text search) are left out, with a warning.

    Raises:
        InputError: no database, or one that cannot be read.
    """
    import duckdb

    where = str(path)
    with tempfile.TemporaryDirectory() as spill, _named_faults(where):
        is_duckdb = _engine_of(path, where=where) == DUCKDB
        with _duckdb(path, spill) if is_duckdb else _sqlite(path) as database:
            counts: dict[str, int] = {}
            for schema, name in database.execute(_TABLES[DUCKDB if is_duckdb else SQLITE]).fetchall():
                table = ".".join(map(_quoted, filter(None, (schema, name))))
                try:
                    [counts[table]] = database.execute(f"SELECT count(*) FROM {table}").fetchone()
                except (duckdb.Error, sqlite3.Error) as error:
                    logger.warning("%s: %s is passed over: %s", where, table, " ".join(str(error).split()))
            return counts


def is_database(path: Path) -> bool:
    """Whether the file begins as those of DuckDB or SQLite do."""
    return path.is_file() and bool(_engine(_head(path)))


def _quoted(name: str) -> str:
    """A name as SQL has it between quotation marks."""
    return '"' + name.replace('"', '""') + '"'


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(HEAD_BYTES)


def _engine(head: bytes) -> str:
    if head.startswith(SQLITE_MAGIC):
        return SQLITE
    return DUCKDB if head[DUCKDB_MAGIC_AT:].startswith(DUCKDB_MAGIC) else ""


def _engine_of(path: Path, *, where: str) -> str:
    if not path.is_file():
        raise InputError(f"{where}: is a folder; name the file of a database")
    engine = _engine(_head(path))
    if not engine:
        raise InputError(f"{where}: neither a DuckDB nor a SQLite file; correct `path`, or read it with `kind: local`")
    return engine


@contextlib.contextmanager
def _named_faults(where: str) -> Iterator[None]:
    """Turn what the engines and Arrow raise into an InputError that begins with `where`."""
    import duckdb

    try:
        yield
    except (duckdb.Error, sqlite3.Error, pa.ArrowException, UnicodeDecodeError) as error:
        fault = " ".join(str(error).split())
        if any(words in fault for words in LOCKED) or isinstance(error, duckdb.ConnectionException):
            advice = "close what writes to it"
        elif "vtable constructor failed" in fault:
            advice = "indexes of full-text search are not opened; query the table behind it"
        elif "authoriz" in fault or isinstance(error, duckdb.PermissionException):
            advice = "a query may only read the tables of its database"
        else:
            advice = "correct `query`, or the file"
        raise InputError(f"{where}: {type(error).__name__}: {fault}; {advice}") from error


def _sorted_parts(batches: Iterable[pa.RecordBatch], schema: pa.Schema, spill: Path) -> list[Path]:
    """Write the rows to files whose rows are sorted; none holds much more than SORTED_BYTES."""
    parts: list[Path] = []
    waiting: list[pa.RecordBatch] = []
    for batch in itertools.chain(batches, (None,)):
        waiting += [batch] if batch is not None else []
        if waiting and (batch is None or sum(part.nbytes for part in waiting) > SORTED_BYTES):
            rows = pa.Table.from_batches(waiting).cast(schema).to_pylist()
            parts.append(spill / f"part-{len(parts)}.parquet")
            _write(parts[-1], schema, sorted(rows, key=_order), rows_per_group=MERGED_ROWS)
            waiting = []
    return parts


def _few_parts(parts: Sequence[Path], schema: pa.Schema) -> list[Path]:
    """Merge the first of many parts into one, until few enough are left to be merged at once."""
    left = list(parts)
    while len(left) > MERGED_PARTS:
        first, left = left[:MERGED_PARTS], left[MERGED_PARTS:]
        left.append(first[0].with_name(f"merged-{first[0].name}"))
        _write(left[-1], schema, _merged(first), rows_per_group=MERGED_ROWS)
        for path in first:
            path.unlink()
    return left


def _merged(parts: Iterable[Path]) -> Iterator[dict[str, Any]]:
    return heapq.merge(*map(_read_part, parts), key=_order)


def _read_part(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(MERGED_ROWS):
            yield from batch.to_pylist()


def _order(row: dict[str, Any]) -> list[tuple[bool, Any]]:
    """What rows are sorted by: their cells from the left, missing ones last; lists and objects as their text."""
    missing = [cell is None or cell != cell for cell in row.values()]
    return [
        (none, "" if none else repr(cell) if isinstance(cell, list | dict) else cell)
        for none, cell in zip(missing, row.values(), strict=True)
    ]


def _write(path: Path, schema: pa.Schema, rows: Iterable[dict[str, Any]], *, rows_per_group: int = BATCH_ROWS) -> int:
    count, rows = 0, iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(itertools.islice(rows, rows_per_group)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


Rows = tuple[pa.Schema, Iterator[pa.RecordBatch]]


@contextlib.contextmanager
def _duckdb(path: Path, spill: str) -> Iterator["DuckDBPyConnection"]:
    import duckdb

    settings = {"memory_limit": f"{MEMORY_MB}MB", "temp_directory": spill, "threads": "1"}
    with duckdb.connect(str(path), read_only=True, config=settings) as database:
        for setting in CLOSED_TO:
            database.execute(f"SET {setting} = false")
        database.execute("SET lock_configuration = true")
        yield database


@contextlib.contextmanager
def _duckdb_rows(path: Path, query: str, spill: str, where: str) -> Iterator[Rows]:
    import duckdb

    with _named_faults(where), _duckdb(path, spill) as database:
        statements = database.extract_statements(query)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise InputError(f"{where}: `query` is not one SELECT; write one")
        names = [name for name, *_ in database.execute(f"DESCRIBE {query}").fetchall()]
        unique_names(names, where=f"{where}: query")
        reader = database.sql(query).to_arrow_reader(BATCH_ROWS)
        yield pa.schema([(field.name, _decoded(field.type)) for field in reader.schema]), iter(reader)


def _decoded(kind: pa.DataType) -> pa.DataType:
    """The type of the values, where a column of enumerated texts holds numbers of them."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


@contextlib.contextmanager
def _sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    # A file in WAL mode cannot be read without files beside it, unless nothing is taken to write to it.
    fixed = "&immutable=1" if _head(path)[18:20] == SQLITE_WAL_MODE else ""
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{fixed}", uri=True, timeout=LOCK_SECONDS)
    with contextlib.closing(database):
        database.set_authorizer(_authorize)
        yield database


def _authorize(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
    reads = action in ALLOWED and not (action == sqlite3.SQLITE_FUNCTION and second == "load_extension")
    return sqlite3.SQLITE_OK if reads else sqlite3.SQLITE_DENY


@contextlib.contextmanager
def _sqlite_rows(path: Path, query: str, _: str, where: str) -> Iterator[Rows]:
    with _named_faults(where), _sqlite(path) as database:
        with contextlib.closing(database.execute(query)) as cursor:
            names = [name for name, *_ in cursor.description or ()]
        if not names:
            raise InputError(f"{where}: the query gives no columns; write a SELECT")
        unique_names(names, where=f"{where}: query")
        columns = [f"c{number}" for number in range(len(names))]
        rows = f"WITH kept({', '.join(columns)}) AS (\n{query}\n)"
        kinds = database.execute(
            f"{rows} SELECT {', '.join(f'group_concat(DISTINCT typeof({column}))' for column in columns)} FROM kept"
        ).fetchone()
        pairs = zip(names, kinds, strict=True)
        schema = pa.schema([(name, _type_of((kind or "").split(","), name, where)) for name, kind in pairs])
        yield schema, _batches(database.execute(query), schema)


def _type_of(kinds: Sequence[str], name: str, where: str) -> pa.DataType:
    """The one type of a column whose cells are of `kinds` in SQLite: of texts and numbers a text, as readers see it."""
    held = set(kinds) - {"null", ""}
    if "blob" in held and len(held) > 1:
        raise InputError(f"{where}: the column {name!r} holds bytes and others; cast it to one type in `query`")
    if "text" in held or not held:
        return pa.string()
    if held == {"blob"}:
        return pa.binary()
    return pa.int64() if held == {"integer"} else pa.float64()


def _batches(cursor: sqlite3.Cursor, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    texts = [pa.types.is_string(kind) for kind in schema.types]
    numbers = [pa.types.is_floating(kind) for kind in schema.types]
    while rows := cursor.fetchmany(BATCH_ROWS):
        cells = [list(column) for column in zip(*rows, strict=True)]
        for place, column in enumerate(cells):
            if texts[place]:
                cells[place] = [number_text(cell) if isinstance(cell, int | float) else cell for cell in column]
            elif numbers[place]:
                cells[place] = [None if cell is None else float(cell) for cell in column]
        yield pa.record_batch(cells, schema=schema)
