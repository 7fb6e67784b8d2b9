"""A few rows of a large table, by position."""

from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.errors import InputError
from f2llm.records.sql import require


def rows_at(path: Path, column: str, wanted: Collection[int]) -> dict[int, tuple[bytes, str]]:
    """Return position -> (id in `column`, text) of the wanted rows; groups without any are not read.

    Memory is one row group.

    Raises:
        InputError: the table is missing or cannot be read.
    """
    require([path])
    try:
        return _read(path, column, wanted)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read ({error}); run the stage that makes it again") from None


def _read(path: Path, column: str, wanted: Collection[int]) -> dict[int, tuple[bytes, str]]:
    found = {}
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        bounds = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).tolist()
        for group, (first, end) in enumerate(pairwise(bounds)):
            inside = [at for at in wanted if first <= at < end]
            if inside:
                rows = file.read_row_group(group, columns=[column, "text"]).take([at - first for at in inside])
                cells = zip(rows[column].to_pylist(), rows["text"].to_pylist(), strict=True)
                found |= dict(zip(inside, cells, strict=True))
    return found
