"""Where rows lie in the shards of a store, and reading records at places of a file. Shapes: N places."""

import os
import tempfile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A span of a file is read whole when at least one record in this many is wanted, else record by record.
DENSE = 8
MISSING = -1


class RowPlaces(NamedTuple):
    """Where the rows of some ids lie: number of the shard and row in it, both [N]; MISSING for an id without a row."""

    shard: NDArray[np.int32]
    row: NDArray[np.int64]


class RowPlacesFile:
    """The same in a temporary file, so that memory does not grow with their number."""

    RECORD = np.dtype([("shard", "<i4"), ("row", "<i8")])

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, places: RowPlaces) -> None:
        """Add places at the end."""
        records = np.empty(len(places.shard), self.RECORD)
        records["shard"], records["row"] = places
        self._file.write(records.tobytes())
        self._file.flush()
        self._count += len(records)

    def read(self, positions_N: NDArray[np.int64]) -> RowPlaces:
        """The places at some positions."""
        records = records_of(self._file.fileno(), positions_N, self.RECORD.itemsize).view(self.RECORD)[:, 0]
        return RowPlaces(records["shard"].copy(), records["row"].copy())

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


def records_of(file: int, rows_N: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """The records [N, width] in bytes at some rows of a file: read as one span where they lie close, else one by one.

    The file is not mapped: mapped pages count as memory.
    """
    if not len(rows_N):
        return np.empty((0, width), np.uint8)
    first, last = int(rows_N.min()), int(rows_N.max()) + 1
    if last - first <= DENSE * len(rows_N):
        span = np.frombuffer(_read_at(file, (last - first) * width, first * width), np.uint8).reshape(-1, width)
        in_order = last - first == len(rows_N) and (np.diff(rows_N) == 1).all()
        return span if in_order else span[rows_N - first]  # indexing copies
    content = b"".join(os.pread(file, width, row * width) for row in rows_N.tolist())
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def _read_at(file: int, size: int, offset: int) -> bytearray:
    """Read `size` bytes at an offset; one call may return fewer than asked for (2 GiB at most on Linux)."""
    content, done = bytearray(size), 0
    while done < size:
        read = os.preadv(file, [memoryview(content)[done:]], offset + done)
        if not read:
            break
        done += read
    return content
