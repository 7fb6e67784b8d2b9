"""DuckDB over Parquet tables: a bounded database, questions in SQL, and a few rows by their position."""

import contextlib
import functools
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.records.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_MB = 400  # of the engine; the process takes about 150 MB more


@contextlib.contextmanager
def database(
    *,
    memory_mb: int = MEMORY_MB,
    threads: int | None = None,
    spill: str | Path | None = None,
    file: str | Path = ":memory:",
    keeps_order: bool = True,
) -> Iterator["DuckDBPyConnection"]:
    """Open a database with a memory limit, in memory or in `file`, and close it at the end of the block.

    `threads` is by default one a core. What does not fit goes to the folder `spill`. Without `keeps_order` rows
    of a query without ORDER BY come in any order, which takes less memory.
    """
    import duckdb

    settings = {"memory_limit": f"{memory_mb}MB", "preserve_insertion_order": str(keeps_order).lower()}
    settings |= {"temp_directory": str(spill)} if spill else {}
    settings |= {"threads": str(threads)} if threads else {}
    with duckdb.connect(str(file), config=settings) as connection:
        yield connection


def ask(sql: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - cells of any table
    """Run one query and fetch its rows; a `?` in it that stands for tables is a list of their paths.

    Raises:
        InputError: a table is missing or cannot be read.
    """
    import duckdb

    for value in values:
        if isinstance(value, list) and value and isinstance(value[0], Path):
            require(value)
    plain_values = [
        [str(item) if isinstance(item, Path) else item for item in value] if isinstance(value, list) else value
        for value in values
    ]
    try:
        return _standing().cursor().execute(sql, plain_values).fetchall()
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.BinderException) as error:
        raise InputError(f"a table cannot be read ({error}); run the stage that makes it again") from None


@functools.cache
def _standing() -> "DuckDBPyConnection":
    """Open the one database of this process for all questions: opening one takes longer than most questions."""
    import duckdb

    return duckdb.connect(":memory:", config={"memory_limit": f"{MEMORY_MB}MB", "enable_external_file_cache": "false"})


def require(paths: Sequence[Path]) -> None:
    """Refuse to go on without one of these tables.

    Raises:
        InputError: with all that are missing.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            [f"{path}: is missing; `snakemake --cores all {path}` in the checkout makes it" for path in missing]
        )


def rows_at(path: Path, column: str, positions: Collection[int]) -> dict[int, tuple[bytes, str]]:
    """Read position -> (id in `column`, text) of some rows of a table; positions beyond its end are left out.

    Row groups without any of them are not read; memory is one row group.

    Raises:
        InputError: the table is missing or cannot be read.
    """
    require([path])
    cells: dict[int, tuple[bytes, str]] = {}
    first = 0
    try:
        with pq.ParquetFile(path) as file:
            for group in range(file.metadata.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                inside = [position for position in positions if first <= position < end]
                if inside:
                    rows = file.read_row_group(group, columns=[column, "text"])
                    rows = rows.take([position - first for position in inside])
                    pairs = zip(rows[column].to_pylist(), rows["text"].to_pylist(), strict=True)
                    cells |= dict(zip(inside, pairs, strict=True))
                first = end
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the stage that makes it again") from None
    return cells
