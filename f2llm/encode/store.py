"""Vectors on disk, addressed by what they are the vector of: 16-byte text id -> float16 row.

A store is a folder of shards that are only ever added, by any number of processes at once:
`shard_<hash>.f16` (raw rows, little endian), `.ids` (16 bytes each) and `.json`, which is written
last and makes the shard exist. The name is a hash of the content, so a writer that repeats
another's work writes the same file. A store holds vectors of one encoder key; it is a cache that
may be deleted, then the vectors are made again. Shapes: N texts, D dimensions.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.errors import InputError
from f2llm.records.files import atomic_open, read_json, write_json
from f2llm.records.ids import ID_BYTES

FLOAT16 = np.dtype("<f2")
NAME_DIGITS = 24
# A span of a shard is read whole when at least one row in so many is wanted, else row by row.
DENSE = 8
MISSING = -1


Ids = Sequence[bytes] | NDArray[np.bytes_]


class Shard(NamedTuple):
    """One finished shard."""

    stem: Path  # without suffix
    count: int
    dim: int

    @property
    def rows(self) -> Path:
        """The raw rows."""
        return self.stem.with_suffix(".f16")

    @property
    def ids(self) -> Path:
        """The ids of the rows, in their order."""
        return self.stem.with_suffix(".ids")


class Places(NamedTuple):
    """Where the rows of some ids lie: shard number and row in it, both [N]; MISSING where nowhere."""

    shard: NDArray[np.int32]
    row: NDArray[np.int64]


class VectorView:
    """Rows of a store in the order of some ids, read from disk when asked for.

    Attributes:
        dim: length of a vector, 0 in an empty view.
    """

    def __init__(self, shards: Sequence[Shard], places: Places) -> None:
        self._shards, self._places = shards, places
        self.dim = shards[int(places.shard[0])].dim if len(places.shard) else 0

    def __len__(self) -> int:
        return len(self._places.shard)

    def rows(self, positions_N: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the rows at some positions of the view, [N, D] float16."""
        shard_N, row_N = self._places.shard[positions_N], self._places.row[positions_N]
        rows_ND = np.empty((len(positions_N), self.dim), FLOAT16)
        for number in np.unique(shard_N).tolist():
            wanted = np.flatnonzero(shard_N == number)
            rows_ND[wanted] = _rows_of(self._shards[number], row_N[wanted])
        return rows_ND

    def blocks(self, rows: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Yield (first position, rows [<= rows, D]) from the first to the last position."""
        for first in range(0, len(self), rows):
            yield first, self.rows(np.arange(first, min(first + rows, len(self))))


class VectorStore:
    """The vectors of one encoder key in one folder.

    `key` must say all that decides a vector's bits besides its text. Ids are bytes of length 16.
    """

    def __init__(self, folder: str | Path, *, key: str) -> None:
        self.folder, self.key = Path(folder), key
        self._shards: dict[str, Shard] = {}

    def put(self, ids: Ids, rows_ND: NDArray[np.floating], *, precision: str) -> None:
        """Add a shard with the rows of `ids`, rounded to float16; it exists whole or not at all.

        `precision` (of the encoder) is written down with it. Nothing is done for no ids.

        Raises:
            InputError: a row does not fit float16.
        """
        ids_N = as_ids(ids)
        if not len(ids_N):
            return
        rows = np.ascontiguousarray(rows_ND, FLOAT16)
        if not np.isfinite(rows).all():
            raise InputError(f"{self.folder}: a row is not finite in float16; store unit vectors")
        listing, content = ids_N.tobytes(), rows.tobytes()
        name = hashlib.sha256(self.key.encode() + listing + content).hexdigest()[:NAME_DIGITS]
        stem = self.folder / f"shard_{name}"
        hashes = {"ids_sha256": hashlib.sha256(listing).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}
        with atomic_open(stem.with_suffix(".f16")) as file:
            file.write(content)
        with atomic_open(stem.with_suffix(".ids")) as file:
            file.write(listing)
        about = {"key": self.key, "count": len(rows), "dim": rows.shape[1], "precision": precision}
        write_json(stem.with_suffix(".json"), about | hashes)

    def missing(self, ids: Ids) -> NDArray[np.int64]:
        """Return the positions in `ids` that have no row yet; of equal ids only the first."""
        ids_N = as_ids(ids)
        absent = np.flatnonzero(self.locate(ids_N).shard == MISSING)
        return absent[np.sort(np.unique(ids_N[absent], return_index=True)[1])]

    def view(self, ids: Ids) -> "VectorView":
        """Return the rows of `ids` as they lie on disk, to be read in parts; memory is the ids and their places.

        Raises:
            InputError: an id has no row, or a shard is damaged or of another encoder.
        """
        ids_N = as_ids(ids)
        places = self.locate(ids_N)
        absent = np.flatnonzero(places.shard == MISSING)
        if len(absent):
            raise InputError(
                f"{self.folder}: {len(absent)} of {len(ids_N)} vectors are not there "
                f"(id {ids_N[absent[:1]].tobytes().hex()}, ...); the cache was deleted or changed: run again with "
                "`--forcerun embed_source`"
            )
        return VectorView(tuple(self._shards.values()), places)

    def get(self, ids: Ids) -> NDArray[np.float16]:
        """Return the rows of `ids`, [N, D] float16; for as many as fit into memory.

        Raises:
            InputError: as `view`.
        """
        view = self.view(ids)
        return view.rows(np.arange(len(view)))

    def locate(self, ids: Ids) -> Places:
        """Return where the rows of `ids` lie; memory is these ids and those of one shard.

        Raises:
            InputError: a shard is damaged or of another encoder.
        """
        wanted = as_ids(ids)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        places = Places(np.full(len(wanted), MISSING, np.int32), np.full(len(wanted), MISSING, np.int64))
        for number, shard in enumerate(self.shards()):
            stored = np.fromfile(shard.ids, f"S{ID_BYTES}")
            low, high = np.searchsorted(ordered, stored, "left"), np.searchsorted(ordered, stored, "right")
            for copy in range(int((high - low).max(initial=0))):
                hit = low + copy < high
                target = order[(low + copy)[hit]]
                free = places.shard[target] == MISSING  # the first shard by name wins; all hold the same bits
                places.shard[target[free]] = number
                places.row[target[free]] = np.flatnonzero(hit)[free]
        return places

    def shards(self) -> list[Shard]:
        """Return the finished shards by name, those known before first; new ones are checked.

        Raises:
            InputError: a shard is truncated or belongs to another encoder; names it.
        """
        for path in sorted(self.folder.glob("shard_*.json")):
            if path.name not in self._shards:
                self._shards[path.name] = self._checked(path)
        return list(self._shards.values())

    def verify(self) -> None:
        """Read all shards and compare their hashes.

        Raises:
            InputError: a shard's bytes changed; names it.
        """
        for shard in self.shards():
            about = read_json(shard.stem.with_suffix(".json"))
            for path, key in ((shard.rows, "sha256"), (shard.ids, "ids_sha256")):
                if hashlib.sha256(path.read_bytes()).hexdigest() != about[key]:
                    raise InputError(_damage(path, "its bytes changed"))

    def _checked(self, path: Path) -> Shard:
        about = read_json(path)
        if about["key"] != self.key:
            raise InputError(_damage(path, f"it is of another encoder ({about['key']}, not {self.key})"))
        shard = Shard(stem=path.with_suffix(""), count=about["count"], dim=about["dim"])
        for file, size in (
            (shard.rows, shard.count * shard.dim * FLOAT16.itemsize),
            (shard.ids, shard.count * ID_BYTES),
        ):
            found = file.stat().st_size if file.is_file() else 0
            if found != size:
                raise InputError(_damage(file, f"it has {found} bytes of {size}"))
        return shard


def as_ids(ids: Ids) -> NDArray[np.bytes_]:
    """Return ids as one array of 16 bytes each; take ids out of it with `tobytes`.

    (An element of such an array, taken as a Python object, would lose zero bytes at its end.)
    """
    if isinstance(ids, np.ndarray):
        return ids
    return np.frombuffer(b"".join(ids), f"S{ID_BYTES}")


def _rows_of(shard: Shard, rows: NDArray[np.int64]) -> NDArray[np.float16]:
    """Read some rows: as one span where they lie close, else one by one. No mapping: mapped pages count as memory."""
    width = shard.dim * FLOAT16.itemsize
    with open(shard.rows, "rb") as file:
        first, last = int(rows.min()), int(rows.max()) + 1
        if last - first <= DENSE * len(rows):
            file.seek(first * width)
            span = np.fromfile(file, FLOAT16, (last - first) * shard.dim).reshape(-1, shard.dim)
            return span[rows - first]
        content = b"".join(os.pread(file.fileno(), width, row * width) for row in rows.tolist())
    return np.frombuffer(content, FLOAT16).reshape(-1, shard.dim)


def _damage(path: Path, what: str) -> str:
    return f"{path}: {what}; delete the files of this shard and run again: its vectors are made anew"
