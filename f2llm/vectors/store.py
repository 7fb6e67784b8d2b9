"""Vectors on disk, addressed by the id of their text: 16 bytes -> float16 or float32 row.

A store is a folder of shards, to which any number of processes add at once: `shard_<hash>.f16` or `.f32` (raw rows,
little endian), `.ids` (16 bytes each) and `.json`, which is written last and makes the shard exist. The name is a hash
of the content, so a writer that repeats another's work writes the same file. A store holds the vectors of one encoder
key. It is a cache: when it is deleted, the vectors are made again. Shapes: N texts, D dimensions.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.errors import InputError
from f2llm.records.files import atomic_open, read_json, write_json
from f2llm.records.hashes import kept_sha256
from f2llm.records.ids import ID_BYTES

FLOAT16, FLOAT32 = np.dtype("<f2"), np.dtype("<f4")
SUFFIXES = {FLOAT16: ".f16", FLOAT32: ".f32"}
NAME_DIGITS = 24
# Ids whose places are looked up together; each look-up reads the ids of all shards.
IDS_AT_ONCE = 1 << 19
# A span of a file is read whole when at least one record in this many is wanted, else record by record.
DENSE = 8
MISSING = -1
# Where the row of an id lies: number of the shard, MISSING for an id without a row, and row in it.
PLACE = np.dtype([("shard", "<i4"), ("row", "<i8")])

Ids = Sequence[bytes] | NDArray[np.bytes_]


class Shard(NamedTuple):
    """One finished shard."""

    stem: Path  # without suffix
    count: int
    dim: int
    dtype: np.dtype = FLOAT16

    @property
    def rows(self) -> Path:
        """The raw rows."""
        return self.stem.with_suffix(SUFFIXES[self.dtype])

    @property
    def ids(self) -> Path:
        """The ids of the rows, in their order."""
        return self.stem.with_suffix(".ids")


class _PlacesFile:
    """Places (PLACE) in a temporary file, so that memory does not grow with their number; indexed like an array."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, places_N: NDArray[np.void]) -> None:
        """Add places at the end."""
        self._file.write(places_N.tobytes())
        self._file.flush()
        self._count += len(places_N)

    def __getitem__(self, positions_N: NDArray[np.int64]) -> NDArray[np.void]:
        return _records_of(self._file.fileno(), positions_N, PLACE.itemsize).view(PLACE)[:, 0]

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class VectorView:
    """Rows of a store in the order of some ids, read from disk when they are asked for.

    Attributes:
        dim: length of a vector, 0 in an empty view.
    """

    def __init__(self, shards: Sequence[Shard], places: NDArray[np.void] | _PlacesFile) -> None:
        self._shards, self._places = shards, places
        self.dim = shards[int(places[np.arange(1)]["shard"][0])].dim if len(self) else 0

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, positions_N: NDArray[np.int64]) -> NDArray[np.floating]:
        """The rows [N, D] at some positions of the view, in the format of the store.

        Raises:
            InputError: a row is not finite; names its text.
        """
        places_N = self._places[positions_N]
        rows_ND = np.empty((len(positions_N), self.dim), self._shards[0].dtype if self._shards else FLOAT16)
        for number in np.unique(places_N["shard"]).tolist():
            wanted = np.flatnonzero(places_N["shard"] == number)
            rows_ND[wanted] = _finite_rows(self._shards[number], places_N["row"][wanted])
        return rows_ND

    def blocks(self, rows: int) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Yield (first position, rows [<= rows, D]) from the first to the last position."""
        for first in range(0, len(self), rows):
            yield first, self.rows(np.arange(first, min(first + rows, len(self))))


class VectorStore:
    """The vectors of one encoder key in one folder.

    `key` names all that decides a vector's bits besides its text. Ids are bytes of length 16. Rows are float16, or
    float32 where scores must be those of the encoder itself. With `compare`, the bytes of a shard are compared with
    their hashes before rows of it are first returned.
    """

    def __init__(self, folder: str | Path, *, key: str, dtype: np.dtype = FLOAT16, compare: bool = False) -> None:
        self.folder, self.key, self.dtype = Path(folder), key, dtype
        self._shards: dict[str, Shard] = {}
        self._compare, self._compared = compare, set[Path]()

    def put(self, ids: Ids, rows_ND: NDArray[np.floating], *, precision: str) -> None:
        """Add a shard with the rows of `ids`, rounded to the store's format; it exists whole or not at all.

        `precision`, that of the encoder, is noted in its description. Without ids nothing is written.

        Raises:
            InputError: a row is not finite in that format.
        """
        ids_N = as_ids(ids)
        if not len(ids_N):
            return
        rows = np.ascontiguousarray(rows_ND, self.dtype)
        if not np.isfinite(rows).all():
            raise InputError(f"{self.folder}: a row is not finite in {self.dtype.name}; store unit vectors")
        listing, content = ids_N.tobytes(), rows.tobytes()
        name = hashlib.sha256(self.key.encode() + listing + content).hexdigest()[:NAME_DIGITS]
        stem = self.folder / f"shard_{name}"
        hashes = {"ids_sha256": hashlib.sha256(listing).hexdigest(), "sha256": hashlib.sha256(content).hexdigest()}
        with atomic_open(stem.with_suffix(SUFFIXES[self.dtype])) as file:
            file.write(content)
        with atomic_open(stem.with_suffix(".ids")) as file:
            file.write(listing)
        description = {"key": self.key, "count": len(rows), "dim": rows.shape[1], "precision": precision}
        write_json(stem.with_suffix(".json"), description | hashes)

    def missing(self, ids: Ids) -> NDArray[np.int64]:
        """The positions in `ids` that have no row yet; of equal ids only the first."""
        ids_N = as_ids(ids)
        absent = np.flatnonzero(self.locate(ids_N)["shard"] == MISSING)
        return absent[np.sort(np.unique(ids_N[absent], return_index=True)[1])]

    def view(self, ids: Ids) -> "VectorView":
        """The rows of `ids`, to be read from disk in parts; memory holds the ids and their places.

        Raises:
            InputError: an id has no row, or a shard is damaged or of another encoder.
        """
        places = self._present(as_ids(ids))
        return VectorView(tuple(self._shards.values()), places)

    @contextlib.contextmanager
    def view_of(self, batches: Iterable[Ids]) -> Iterator["VectorView"]:
        """The same view for any number of ids that come in batches; their places lie in a file until it is closed.

        Raises:
            InputError: as `view`.
        """
        places, waiting, count = _PlacesFile(), [], 0
        try:
            for ids in batches:
                waiting.append(as_ids(ids))
                count += len(ids)
                if count >= IDS_AT_ONCE:
                    places.append(self._present(np.concatenate(waiting)))
                    waiting, count = [], 0
            if count:
                places.append(self._present(np.concatenate(waiting)))
            yield VectorView(tuple(self._shards.values()), places)
        finally:
            places.close()

    def _present(self, ids_N: NDArray[np.bytes_]) -> NDArray[np.void]:
        """Where the rows of some ids lie, each of which must have one."""
        places = self.locate(ids_N)
        absent = np.flatnonzero(places["shard"] == MISSING)
        if len(absent):
            raise InputError(
                f"{self.folder}: {len(absent)} of {len(ids_N)} vectors are not there "
                f"(id {ids_N[absent[:1]].tobytes().hex()}, ...); the cache was deleted or changed: run again with "
                "`--forcerun embed_source`"
            )
        if self._compare:
            shards = tuple(self._shards.values())
            self._compare_bytes(shards[number] for number in np.unique(places["shard"]).tolist())
        return places

    def get(self, ids: Ids) -> NDArray[np.floating]:
        """The rows [N, D] of `ids`, in memory.

        Raises:
            InputError: as `view`.
        """
        view = self.view(ids)
        return view.rows(np.arange(len(view)))

    def locate(self, ids: Ids) -> NDArray[np.void]:
        """Where the rows of `ids` lie (PLACE); memory holds these ids and those of one shard.

        Raises:
            InputError: a shard is damaged or of another encoder.
        """
        wanted = as_ids(ids)
        order = np.argsort(wanted, kind="stable")
        ordered = wanted[order]
        places = np.zeros(len(wanted), PLACE)
        places["shard"] = MISSING
        for number, shard in enumerate(self.shards()):
            stored = np.fromfile(shard.ids, f"S{ID_BYTES}")
            # Each stored id is looked up in the sorted wanted ones: an index of the shard is never built.
            low, high = np.searchsorted(ordered, stored, "left"), np.searchsorted(ordered, stored, "right")
            # A stored id answers all equal wanted ones: low .. high. They are filled one copy at a time.
            for copy in range(int((high - low).max(initial=0))):
                wanted_again = low + copy < high
                target = order[(low + copy)[wanted_again]]
                free = places["shard"][target] == MISSING  # the first shard by name wins; all hold the same bits
                places["shard"][target[free]] = number
                places["row"][target[free]] = np.flatnonzero(wanted_again)[free]
        return places

    def shards(self) -> list[Shard]:
        """The finished shards by name, those known before first; new ones are checked.

        Raises:
            InputError: a shard is truncated or belongs to another encoder; names it.
        """
        for path in sorted(self.folder.glob("shard_*.json")):
            if path.name not in self._shards:
                self._shards[path.name] = self._checked(path)
        return list(self._shards.values())

    def _compare_bytes(self, shards: Iterable[Shard]) -> None:
        """Read shards that were not compared before, a piece at a time, and compare their hashes."""
        for shard in shards:
            if shard.stem in self._compared:
                continue
            description = read_json(shard.stem.with_suffix(".json"))
            for path, key in ((shard.rows, "sha256"), (shard.ids, "ids_sha256")):
                if kept_sha256(path) != description[key]:
                    raise InputError(_damage(path, "its bytes changed"))
            self._compared.add(shard.stem)

    def _checked(self, path: Path) -> Shard:
        """The shard of a description, if key, length of vectors and sizes of files are right."""
        try:
            description = read_json(path)
            key, count, dim = description["key"], int(description["count"]), int(description["dim"])
            _ = description["sha256"], description["ids_sha256"]
        except (ValueError, KeyError, TypeError):
            raise InputError(_damage(path, "it cannot be read")) from None
        if key != self.key:
            raise InputError(_damage(path, f"it is of another encoder ({key}, not {self.key})"))
        shard = Shard(path.with_suffix(""), count=count, dim=dim, dtype=self.dtype)
        known = next(iter(self._shards.values()), shard)
        if known.dim != shard.dim:
            raise InputError(_damage(path, f"its vectors have {shard.dim} numbers, those of other shards {known.dim}"))
        sizes = {shard.rows: shard.count * shard.dim * self.dtype.itemsize, shard.ids: shard.count * ID_BYTES}
        for file, expected in sizes.items():
            size = file.stat().st_size if file.is_file() else 0
            if size != expected:
                raise InputError(_damage(file, f"it has {size} bytes of {expected}"))
        return shard


def delete_vectors(folder: str | Path, ids: Collection[bytes]) -> int:
    """Delete the rows of `ids` from all shards below a folder of stores; return how many there were.

    A shard that loses rows is written anew without them, then the old one is deleted. Nothing may read or write the
    stores meanwhile.
    """
    deleted = 0
    for path in sorted(Path(folder).rglob("shard_*.json")):
        description = read_json(path)
        dtype = next(dtype for dtype, suffix in SUFFIXES.items() if path.with_suffix(suffix).is_file())
        shard = Shard(path.with_suffix(""), count=description["count"], dim=description["dim"], dtype=dtype)
        listing = shard.ids.read_bytes()
        stored = [listing[start : start + ID_BYTES] for start in range(0, len(listing), ID_BYTES)]
        keep = np.array([text_id not in ids for text_id in stored], bool)
        if keep.all():
            continue
        rows_ND = np.fromfile(shard.rows, dtype).reshape(len(stored), shard.dim)
        store = VectorStore(path.parent, key=description["key"], dtype=dtype)
        store.put(as_ids(stored)[keep], rows_ND[keep], precision=description["precision"])
        for file in (path, shard.ids, shard.rows):  # the description first: without it there is no shard
            file.unlink()
        deleted += int((~keep).sum())
    return deleted


def as_ids(ids: Ids) -> NDArray[np.bytes_]:
    """Ids as one array of 16 bytes each; take ids out of it with `tobytes`.

    (An element of such an array, taken as a Python object, would lose zero bytes at its end.)
    """
    if isinstance(ids, np.ndarray):
        return ids
    return np.frombuffer(b"".join(ids), f"S{ID_BYTES}")


def _finite_rows(shard: Shard, rows: NDArray[np.int64]) -> NDArray[np.floating]:
    with open(shard.rows, "rb") as file:
        rows_ND = _records_of(file.fileno(), rows, shard.dim * shard.dtype.itemsize).view(shard.dtype)
    if not _all_finite(rows_ND):
        row = int(rows[~np.isfinite(rows_ND).all(1)][0])
        text = shard.ids.read_bytes()[row * ID_BYTES : (row + 1) * ID_BYTES].hex()
        raise InputError(_damage(shard.rows, f"the vector of text {text} is not finite"))
    return rows_ND


def _all_finite(rows_ND: NDArray[np.floating]) -> bool:
    """Whether all numbers are finite, by their bits: np.isfinite takes ten times as long for float16."""
    infinite, width = np.array(np.inf, rows_ND.dtype), rows_ND.itemsize
    return all(
        rows_ND.view(f"{kind}{width}").max(initial=0) < bound.view(f"{kind}{width}")
        for kind, bound in (("i", infinite), ("u", -infinite))  # signed: of those from 0; unsigned: of those below
    )


def _damage(path: Path, what: str) -> str:
    return (
        f"{path}: {what}; delete the files of this shard and run again (to mine: with `--forcerun embed_source`), its "
        "vectors are made anew"
    )


def _records_of(file: int, rows_N: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
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
