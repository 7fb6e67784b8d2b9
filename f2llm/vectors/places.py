"""Where rows lie in the shards of a store, and records of a file read at places. Shapes: N places."""

import os
import tempfile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# A span of a file is read whole when at least one record in so many is wanted, else record by record.
DENSE = 8
MISSING = -1


class Places(NamedTuple):
    """Where the rows of some ids lie: shard number and row in it, both [N]; MISSING where nowhere."""

    shard: NDArray[np.int32]
    row: NDArray[np.int64]


class PlacesFile:
    """Places in a file without a name, so that memory does not grow with their number."""

    KIND = np.dtype([("shard", "<i4"), ("row", "<i8")])

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, places: Places) -> None:
        """Add places behind those that are there."""
        records = np.empty(len(places.shard), self.KIND)
        records["shard"], records["row"] = places
        self._file.write(records.tobytes())
        self._file.flush()
        self._count += len(records)

    def at(self, positions_N: NDArray[np.int64]) -> Places:
        """Return the places at some positions."""
        records = records_of(self._file.fileno(), positions_N, self.KIND.itemsize).view(self.KIND)[:, 0]
        return Places(records["shard"].copy(), records["row"].copy())

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


def records_of(file: int, at: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return some records of a file: as one span where they lie close, else one by one; [N, width] bytes.

    No mapping: mapped pages count as memory.
    """
    if not len(at):
        return np.empty((0, width), np.uint8)
    first, last = int(at.min()), int(at.max()) + 1
    if last - first <= DENSE * len(at):
        span = np.frombuffer(_read_at(file, (last - first) * width, first * width), np.uint8).reshape(-1, width)
        return span if last - first == len(at) and (np.diff(at) == 1).all() else span[at - first]
    content = b"".join(os.pread(file, width, row * width) for row in at.tolist())
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def _read_at(file: int, size: int, offset: int) -> bytearray:
    """Read bytes at an offset, in as many calls as the system takes for it."""
    content, done = bytearray(size), 0
    while done < size:
        read = os.preadv(file, [memoryview(content)[done:]], offset + done)
        if not read:
            break
        done += read
    return content
