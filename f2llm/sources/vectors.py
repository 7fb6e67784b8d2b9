"""Store vectors made elsewhere in place of a retriever: Parquet files -> a store that mining reads like its own.

Files named passages*.parquet and queries*.parquet hold a column `vector` (lists of numbers) and either
`text`, the text as the source has it, without any prompt, or `id`, its doc_id as 32 hex digits.
Shapes: N rows, D dimensions.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file, write_json
from f2llm.records.ids import ID_BYTES, doc_id
from f2llm.vectors.store import VectorStore, as_ids

ROLES = ("passages", "queries")
ROWS = 4096
KEY_DIGITS = 12
MANIFEST = "vectors.json"
_HEX = re.compile(f"[0-9a-f]{{{2 * ID_BYTES}}}")


def store_vectors(origin: str | Path, folder: str | Path, *, where: str) -> dict[str, int]:
    """Write the vectors of the files in `origin` as stores `folder`/passages and `folder`/queries; return counts.

    Vectors are scaled to unit length and rounded to float16.

    Raises:
        InputError: a file or column is missing, an id is no doc_id, a vector is zero, not finite or of
            another size, or an id comes twice; names file and row.
    """
    files = {role: sorted(Path(origin).glob(f"{role}*.parquet")) for role in ROLES}
    absent = [f"{where}: there is no {role}*.parquet in it; add it" for role in ROLES if not files[role]]
    if absent:
        raise InputError(absent)
    digests = "".join(sha256_file(file) for role in ROLES for file in files[role])
    key = f"vectors-{hashlib.sha256(digests.encode()).hexdigest()[:KEY_DIGITS]}"
    counts, dim = {}, 0
    for role in ROLES:
        store, ids = VectorStore(Path(folder, role), key=key), [as_ids([])]
        for file in files[role]:
            for batch_ids, rows_ND in _batches(file, dim=dim, where=f"{where}: {file.name}"):
                dim = rows_ND.shape[1]
                ids.append(as_ids(batch_ids))
                store.put(batch_ids, rows_ND, precision="float16")
        counts[role] = _count_distinct(np.concatenate(ids), where=f"{where}: {role}*.parquet")
    write_json(Path(folder, MANIFEST), {"key": key, "dim": dim} | counts)
    return counts | {"dimensions": dim}


def _batches(file: Path, *, dim: int, where: str) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
    with pq.ParquetFile(file) as table:
        names = table.schema_arrow.names
        name = next((name for name in ("id", "text") if name in names), None)
        if "vector" not in names or name is None:
            raise InputError(
                f"{where}: its columns are {', '.join(names)}; it needs `vector`, and `text` or `id` beside it"
            )
        first = 0
        for batch in table.iter_batches(ROWS, columns=[name, "vector"]):
            ids = _parse_ids(batch[name].to_pylist(), name, first=first, where=where)
            rows_ND = _unit_rows(batch["vector"], dim=dim, first=first, where=where)
            dim, first = rows_ND.shape[1], first + len(ids)
            yield ids, rows_ND


def _parse_ids(values: list[object], column: str, *, first: int, where: str) -> list[bytes]:
    for row, value in enumerate(values, first):
        if not isinstance(value, str) or (column == "id" and not _HEX.fullmatch(value)):
            expected = "32 hex digits of a doc_id" if column == "id" else "a text"
            raise InputError(f"{where}: row {row}: {column} is {value!r}, not {expected}; mend the file")
    return [bytes.fromhex(value) if column == "id" else doc_id(value) for value in values]


def _unit_rows(vectors: pa.Array, *, dim: int, first: int, where: str) -> NDArray[np.float32]:
    lengths = vectors.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    dim = dim or int(lengths[0])
    wrong = (lengths != dim) | (dim == 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{where}: row {first + row}: its vector has {lengths[row]} numbers, others have {dim}; mend the file"
        )
    rows_ND = np.asarray(vectors.flatten().to_numpy(zero_copy_only=False), np.float32).reshape(-1, dim)
    norms_N = np.linalg.norm(rows_ND.astype(np.float64), axis=1)
    bad = ~(np.isfinite(norms_N) & (norms_N > 0))
    if bad.any():
        raise InputError(
            f"{where}: row {first + int(bad.argmax())}: its vector is zero or not finite; mend or remove it"
        )
    return (rows_ND / norms_N[:, None]).astype(np.float32)


def _count_distinct(ids: NDArray[np.bytes_], *, where: str) -> int:
    ordered = np.sort(ids)
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        which = ordered[twice[0] : twice[0] + 1].tobytes().hex()
        raise InputError(f"{where}: the text of id {which} has two vectors; keep one")
    return len(ids)
