"""Scratch space of one job: the out-of-core engine and the files that it may spill to."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from f2llm.curate.ledger import NO_ROW


class Store(NamedTuple):
    """A folder for scratch files and an engine whose memory is bounded."""

    folder: Path
    engine: Any  # duckdb.DuckDBPyConnection

    def in_order(self, path: str | Path, *, key: str) -> Path:
        """Return `path`, or a copy of the table sorted by `key` where its rows are in another order."""
        last = b""
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=[key]):
                ids = batch[key].to_pylist()
                if any(left > right for left, right in zip([last, *ids], ids, strict=False)):
                    return self._sorted(path, key=key)
                last = ids[-1] if ids else last
        return Path(path)

    def _sorted(self, path: str | Path, *, key: str) -> Path:
        target = self.folder / f"by_{key}.parquet"
        query = f"COPY (SELECT * FROM read_parquet($path) ORDER BY {key}) TO '{_quoted(target)}' (FORMAT parquet)"
        self.engine.execute(query, {"path": str(path)})
        return target

    def equal_rows(self, path: Path, *, key: str, live: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return for every row the first live row with the same `key`, -1 for rows that are not live."""
        self.engine.register("live", pa.table({"row": np.flatnonzero(live)}))
        found = self.engine.execute(
            f"""SELECT row, first FROM (
                    SELECT file_row_number AS row, min(file_row_number) OVER (PARTITION BY {key}) AS first
                    FROM read_parquet($path, file_row_number = true) AS all_rows
                    SEMI JOIN live ON all_rows.file_row_number = live.row)
                WHERE row <> first""",
            {"path": str(path)},
        ).fetchnumpy()
        first = np.where(live, np.arange(len(live)), NO_ROW)
        first[np.asarray(found["row"], np.int64)] = np.asarray(found["first"], np.int64)
        return first


@contextlib.contextmanager
def scratch(folder: str | Path, *, memory_mb: int, threads: int) -> Iterator[Store]:
    """Yield a store in `folder`, which is emptied before and removed afterwards.

    The name is fixed, so what a killed job left there is cleared by the next one.
    """
    import duckdb

    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        settings = {"memory_limit": f"{memory_mb}MB", "threads": threads, "temp_directory": str(folder / "spill")}
        with duckdb.connect(str(folder / "engine.duckdb"), config=settings) as engine:
            yield Store(folder=folder, engine=engine)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
