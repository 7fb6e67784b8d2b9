"""Questions to many Parquet tables at once, asked in SQL of DuckDB, in bounded memory."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.errors import InputError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_MB = 400  # of the engine; the process takes about 150 MB more


@contextlib.contextmanager
def database(
    *, memory_mb: int = MEMORY_MB, spill: str | Path | None = None, threads: int | None = None
) -> Iterator["DuckDBPyConnection"]:
    """Yield an empty database in memory; with `spill` what does not fit goes to that folder."""
    import duckdb

    settings = {"memory_limit": f"{memory_mb}MB", "preserve_insertion_order": "false"}
    settings |= {"temp_directory": str(spill)} if spill else {}
    settings |= {"threads": str(threads)} if threads else {}
    connection = duckdb.connect(":memory:", config=settings)
    try:
        yield connection
    finally:
        connection.close()


def ask(sql: str, *values: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - cells of any table
    """Return the rows of one query; a `?` in it that stands for tables is a list of their paths.

    Raises:
        InputError: a table is missing or cannot be read.
    """
    import duckdb

    for paths in values:
        if isinstance(paths, list) and paths and isinstance(paths[0], Path):
            require(paths)
    plain = [[str(one) if isinstance(one, Path) else one for one in value] if isinstance(value, list) else value
             for value in values]  # fmt: skip
    try:
        return _standing().cursor().execute(sql, plain).fetchall()
    except (duckdb.IOException, duckdb.InvalidInputException, duckdb.BinderException) as error:
        raise InputError(f"a table cannot be read ({error}); run the stage that makes it again") from None


@functools.cache
def _standing() -> "DuckDBPyConnection":
    """Return the one database of this process that all questions are put to: opening one takes longer than most."""
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
