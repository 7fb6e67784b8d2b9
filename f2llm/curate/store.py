"""Scratch space of one job: an out-of-core engine with bounded memory, and files that are gone afterwards."""

import contextlib
import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from f2llm.curate.rows import Ints, Mask
from f2llm.curate.shingles import Ragged
from f2llm.records.sql import database
from f2llm.records.tables import NO_ROW, read_batches


class Store(NamedTuple):
    """A folder for scratch files and an engine whose memory is bounded."""

    folder: Path
    engine: Any  # duckdb.DuckDBPyConnection

    def in_order(self, path: str | Path, *, key: str) -> Path:
        """The table at `path` sorted by `key`: `path` itself, or a scratch copy where its rows are in another order."""
        ids = (identity for batch in read_batches(path, columns=[key]) for identity in batch[key].to_pylist())
        if all(left <= right for left, right in itertools.pairwise(ids)):
            return Path(path)
        target = self.folder / f"by_{key}.parquet"
        query = f"COPY (SELECT * FROM read_parquet($path) ORDER BY {key}) TO $target (FORMAT parquet)"
        self.engine.execute(query, {"path": str(path), "target": str(target)})
        return target

    def equal_rows(self, path: Path, *, key: str, live: Mask) -> Ints:
        """For every row the first live row with the same `key`, NO_ROW for rows that are not live."""
        self.engine.register("live", pa.table({"row": np.flatnonzero(live)}))
        repeated = self.engine.execute(
            f"""SELECT row, first FROM (
                    SELECT file_row_number AS row, min(file_row_number) OVER (PARTITION BY {key}) AS first
                    FROM read_parquet($path, file_row_number = true) AS all_rows
                    SEMI JOIN live ON all_rows.file_row_number = live.row)
                WHERE row <> first""",
            {"path": str(path)},
        ).fetchnumpy()
        first = np.where(live, np.arange(len(live)), NO_ROW)
        first[np.asarray(repeated["row"], np.int64)] = np.asarray(repeated["first"], np.int64)
        return first


@contextlib.contextmanager
def scratch(folder: str | Path, *, memory_mb: int, threads: int) -> Iterator[Store]:
    """Yield a store in `folder`, which is emptied before and removed afterwards.

    The name is fixed, so what a killed job left there is cleared by the next one.
    """
    import duckdb

    folder = Path(folder)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    try:
        file, spill = folder / "engine.duckdb", folder / "spill"
        with database(memory_mb=memory_mb, threads=threads, spill=spill, file=file) as engine:
            yield Store(folder=folder, engine=engine)
    except duckdb.Error as error:
        if "no space left" in str(error).lower():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class HashRows(contextlib.AbstractContextManager):
    """Rows of 64-bit hashes in a scratch file, appended once and read by position, not mapped: pages do not pile up."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "w+b")  # noqa: SIM115 - closed by __exit__
        self._sizes = [np.zeros(1, np.int64)]
        self._offsets: Ints | None = None

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, rows: Ragged) -> None:
        """Add rows at the end."""
        self._file.write(rows.values.data)
        self._sizes.append(np.diff(rows.offsets))
        self._offsets = None

    @property
    def offsets(self) -> Ints:
        """Where each row begins, in values, and where the last ends."""
        if self._offsets is None:
            self._file.flush()
            self._offsets = np.cumsum(np.concatenate(self._sizes))
        return self._offsets

    def rows(self, wanted: Ints) -> Ragged:
        """Read rows in the order of `wanted`, which may repeat."""
        starts, ends = self.offsets[wanted] * 8, self.offsets[wanted + 1] * 8
        handle = self._file.fileno()
        places = zip(starts.tolist(), ends.tolist(), strict=True)
        content = b"".join(os.pread(handle, end - start, start) for start, end in places)
        return Ragged(np.frombuffer(content, np.uint64), np.concatenate([[0], np.cumsum(ends - starts)]) // 8)


def reserve(path: Path, size: int) -> None:
    """Make a file of `size` bytes whose blocks are all there.

    Writing into a mapped file without them kills the process when the disk is full.

    Raises:
        OSError: there is no room for it.
    """
    with open(path, "wb") as file:
        if size:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                raise OSError(error.errno, os.strerror(error.errno), str(path)) from None
