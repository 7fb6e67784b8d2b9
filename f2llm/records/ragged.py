"""Rows of int32 values of different lengths on disk, such as tokens of texts, mapped into memory by all processes.

`name.bin` holds little-endian int32 values end to end, `name.offsets` the int64 place of every row
and, last, the number of values.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from f2llm.records.errors import InputError
from f2llm.records.files import atomic_open

VALUES = np.dtype("<i4")
OFFSETS = np.dtype("<i8")


class Rows:
    """Rows of int32 values by their number, read from a memory map.

    Raises:
        InputError: a file is missing, or the two do not belong together.
    """

    def __init__(self, path: str | Path) -> None:
        values, offsets = _files(path)
        if not values.is_file() or not offsets.is_file():
            raise InputError(f"{path}: {values.name} or {offsets.name} is missing; run tokenise_source again")
        self.offsets = np.memmap(offsets, OFFSETS, "r") if offsets.stat().st_size else np.zeros(0, OFFSETS)
        size = values.stat().st_size
        if not len(self.offsets) or self.offsets[-1] * VALUES.itemsize != size:
            raise InputError(f"{path}: {values.name} and {offsets.name} disagree; run tokenise_source again")
        self._values = np.memmap(values, VALUES, "r") if size else np.zeros(0, VALUES)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self) -> NDArray[np.int32]:
        """Number of values of every row."""
        return np.diff(self.offsets).astype(np.int32)

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        return self._values[self.offsets[row] : self.offsets[row + 1]]


def write_rows(path: str | Path, batches: Iterable[Sequence[Sequence[int]]]) -> int:
    """Write `path`.bin and `path`.offsets, each whole or absent, from batches of rows; gives the number of rows.

    Memory is one batch and the offsets.
    """
    values, offsets = _files(path)
    total, ends = 0, [np.zeros(1, OFFSETS)]
    with atomic_open(values) as flat, atomic_open(offsets) as places:
        for batch in batches:
            rows = [np.asarray(row, VALUES) for row in batch]
            flat.writelines(row.tobytes() for row in rows)
            ends.append(total + np.cumsum([len(row) for row in rows], dtype=OFFSETS))
            total += sum(map(len, rows))
        places.write(np.concatenate(ends).tobytes())
    return sum(map(len, ends)) - 1


def _files(path: str | Path) -> tuple[Path, Path]:
    return Path(f"{path}.bin"), Path(f"{path}.offsets")
