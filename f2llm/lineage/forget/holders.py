"""Every file that holds some texts or their ids, found by looking into all of them."""

import html
import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from f2llm.records.errors import InputError
from f2llm.records.ids import ID_BYTES
from f2llm.records.tables import ID, STORED_ID

BLOCK = 8 << 20  # whole records of ids
SKIPPED = (".safetensors", ".distcp", ".offsets", ".f16", ".f32")  # numbers, in which no text or id can be found
ARCHIVES = (".whl", ".zip", ".gz", ".bz2", ".xz", ".tgz", ".zst")  # compressed: their bytes show nothing of the members
RECORDS = ".ids"  # nothing but ids, one after the other
DIGITS = 2 * ID_BYTES
HEX = re.compile(rb"[0-9a-f]{%d,}" % DIGITS)
TEXT_COLUMNS = ("query", "positive", "negative", "negatives", "passage")  # beside those whose name ends in "text"


class Needles(NamedTuple):
    """What is looked for: texts anywhere, ids of texts and tuples, and texts that are all of a cell of a table.

    Each text is searched for by itself; ids and whole texts are looked up, so there may be millions of them.
    """

    texts: Sequence[str]
    ids: Collection[bytes]
    whole: Collection[str] = ()


class Holder(NamedTuple):
    """A file, and what of it holds what was looked for: columns of a table, or its text or bytes."""

    path: Path
    where: str


class _Forms(NamedTuple):
    """The needles in the forms in which files may have them."""

    texts: Sequence[str]
    encoded: Sequence[bytes]
    ids: frozenset[bytes]
    hexes: frozenset[bytes]
    whole: frozenset[str]


def find_holders(folders: Sequence[Path], needles: Needles) -> list[Holder]:
    """Find the files below folders that hold one of the texts or ids, by path.

    Tables are searched as they read; other files as bytes, in the forms that JSON and HTML give a text.
    Tokens, weights and vectors are numbers: what they are made from is told by the tables beside them.
    Archives are compressed and not looked into: the tables tell which of them a text came from.
    """
    ids = frozenset(needles.ids)
    encoded = sorted({form.encode() for text in needles.texts for form in _written_forms(text)})
    hexes = frozenset(identity.hex().encode() for identity in ids)
    forms = _Forms(needles.texts, encoded, ids, hexes, frozenset(needles.whole))
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    searched = [path for path in paths if path.suffix not in (*SKIPPED, *ARCHIVES)]
    return [Holder(path, where) for path in searched if (where := _where(path, forms))]


def _where(path: Path, forms: _Forms) -> str:
    if path.suffix == ".parquet":
        try:
            return ", ".join(_columns(path, forms))
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: cannot be read ({error}), so nothing is known of what it holds") from None
    holds = _has_records(path, forms.ids) if path.suffix == RECORDS else _has_bytes(path, forms)
    return "bytes" if holds else ""


def _columns(path: Path, forms: _Forms) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for field in file.schema_arrow:
            for batch in file.iter_batches(8192, columns=[field.name]):
                if _holds(batch[0], field.name, forms):
                    yield field.name
                    break


def _holds(column: pa.Array, name: str, forms: _Forms) -> bool:
    while pa.types.is_list(column.type):
        column = pc.list_flatten(column)
    if column.type in (ID, STORED_ID):
        return not forms.ids.isdisjoint(column.to_pylist())
    if not pa.types.is_string(column.type):
        return False
    if any(pc.any(pc.match_substring(column, text)).as_py() for text in forms.texts):
        return True
    if forms.whole and (name.endswith("text") or name in TEXT_COLUMNS):
        if not forms.whole.isdisjoint(column.to_pylist()):
            return True
    like_ids = column.filter(pc.match_substring_regex(column, HEX.pattern.decode())) if forms.hexes else []
    return any(_has_hex(cell.as_py().encode(), forms.hexes) for cell in like_ids)


def _has_records(path: Path, ids: frozenset[bytes]) -> bool:
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            if not ids.isdisjoint(block[first : first + ID_BYTES] for first in range(0, len(block), ID_BYTES)):
                return True
    return False


def _has_bytes(path: Path, forms: _Forms) -> bool:
    # What may lie across two blocks is found in the second, which is read with the end of the first.
    longest, end = max([DIGITS, *map(len, forms.encoded)]), b""
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            searched = end + block
            if any(form in searched for form in forms.encoded) or _has_hex(searched, forms.hexes):
                return True
            end = searched[-longest:]
    return False


def _has_hex(block: bytes, hexes: frozenset[bytes]) -> bool:
    """Say whether one of the ids is written out in a block; longer runs of digits are tried at every place."""
    return bool(hexes) and any(
        not hexes.isdisjoint(run[first : first + DIGITS] for first in range(len(run) - DIGITS + 1))
        for run in (match[0] for match in HEX.finditer(block))
    )


def _written_forms(text: str) -> set[str]:
    """A text as plain files, JSON and HTML write it."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    return {text, plain, json.dumps(text)[1:-1], html.escape(text), html.escape(text).replace("&#x27;", "&#39;")}
