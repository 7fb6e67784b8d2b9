"""Every file that holds some texts or their ids, found by looking into all of them."""

import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from f2llm.errors import InputError

BLOCK = 8 << 20
SKIPPED = (".safetensors", ".distcp", ".offsets", ".f16", ".f32")  # numbers, in which no text or id can be found


class Needles(NamedTuple):
    """What is looked for: texts, and ids of texts and tuples."""

    texts: Sequence[str]
    ids: Sequence[bytes]


class Holder(NamedTuple):
    """A file, and what of it holds what was looked for: columns of a table, or its text or bytes."""

    path: Path
    where: str


def find_holders(folders: Sequence[Path], needles: Needles) -> list[Holder]:
    """Return the files below folders that hold one of the texts or ids, by path.

    Tables are searched as they read; other files as bytes, in the forms that JSON and HTML give a text.
    Tokens, weights and vectors are numbers: what they are made from is told by the tables beside them.
    """
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [Holder(path, where) for path in paths if path.suffix not in SKIPPED and (where := _where(path, needles))]


def _where(path: Path, needles: Needles) -> str:
    if path.suffix == ".parquet":
        try:
            return ", ".join(_columns(path, needles))
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: cannot be read ({error}), so nothing is known of what it holds") from None
    return "bytes" if _has_bytes(path, needles) else ""


def _columns(path: Path, needles: Needles) -> Iterator[str]:
    ids = pa.array(list(needles.ids), pa.binary(16))
    hexes = [identity.hex() for identity in needles.ids]
    with pq.ParquetFile(path) as file:
        for field in file.schema_arrow:
            for batch in file.iter_batches(8192, columns=[field.name]):
                if _holds(batch[0], needles.texts, ids, hexes):
                    yield field.name
                    break


def _holds(column: pa.Array, texts: Sequence[str], ids: pa.Array, hexes: Sequence[str]) -> bool:
    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == 16:
        return bool(pc.any(pc.is_in(column, value_set=ids)).as_py())
    if not pa.types.is_string(column.type):
        return False
    return any(pc.any(pc.match_substring(column, one)).as_py() for one in [*texts, *hexes])


def _has_bytes(path: Path, needles: Needles) -> bool:
    forms = {one.encode() for text in needles.texts for one in _forms(text)}
    forms |= {one for identity in needles.ids for one in (identity, identity.hex().encode())}
    longest, before = max(map(len, forms), default=0), b""
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            searched = before + block
            if any(form in searched for form in forms):
                return True
            before = searched[-longest:]
    return False


def _forms(text: str) -> set[str]:
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    return {text, plain, json.dumps(text)[1:-1], html.escape(text), html.escape(text).replace("&#x27;", "&#39;")}
