"""The beginning of a file of rows, cut behind its last whole row, packed as its name says."""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple

from f2llm.rows.archives import COMPRESSIONS, DAMAGE
from f2llm.rows.layout import DELIMITERS, WORKBOOKS

UNPACKED_BYTES = 4 << 20  # of one head; what packs better than that is cut
BLOCK_BYTES = 1 << 13
SPACE = " \t\n\r"


class Cut(NamedTuple):
    """Whole rows from the beginning of a file, packed as it is; `taken_bytes` of the file hold them."""

    content: bytes
    rows: int
    taken_bytes: int


def cut_head(content: bytes, *, name: str, whole: bool) -> Cut:
    """The whole rows in the first bytes of the file `name`; `whole`: they are all of it.

    A file that is not what its suffix says stays as it is, for the reader to refuse; of a workbook only a whole one
    can be read, and rows of unknown formats count as lines.
    """
    path = PurePosixPath(name.lower())
    packing = path.suffix if path.suffix in COMPRESSIONS else ""
    suffix = path.with_suffix("").suffix if packing else path.suffix
    if packing and not content.startswith(COMPRESSIONS[packing].magic):
        return Cut(content, 0, len(content))
    rows_bytes, packed_bytes = _unpacked(content, packing) if packing else (content, len(content))
    if suffix in WORKBOOKS:
        return Cut(content, int(whole), len(content)) if whole else Cut(b"", 0, 0)
    kept, rows = _whole_rows(rows_bytes, suffix, whole=whole and packed_bytes == len(content))
    taken = round(packed_bytes * len(kept) / max(1, len(rows_bytes)))
    return Cut(_PACK[packing](kept) if packing else kept, rows, taken)


def _unpacked(content: bytes, packing: str) -> tuple[bytes, int]:
    """What the beginning of a packed file unpacks to, and how many bytes of it that took."""
    packed, unpacked = io.BytesIO(content), bytearray()
    try:
        stream = COMPRESSIONS[packing].unpack(packed)
        while len(unpacked) < UNPACKED_BYTES and (block := stream.read(BLOCK_BYTES)):
            unpacked += block
    except (*DAMAGE, OSError, ValueError):  # the end of what is here
        return bytes(unpacked), len(content)
    return bytes(unpacked), packed.tell()


def _whole_rows(content: bytes, suffix: str, *, whole: bool) -> tuple[bytes, int]:
    if suffix == ".json" and content.lstrip()[:1] == b"[" and (entries := _entries_of_list(content)) is not None:
        return entries
    ends = _line_ends(content, quoted=suffix == ".csv")
    if whole and content and (not ends or ends[-1] < len(content)):
        ends.append(len(content))
    header = suffix in DELIMITERS
    return content[: ends[-1]] if len(ends) > header else b"", max(0, len(ends) - header)


def _line_ends(content: bytes, *, quoted: bool) -> list[int]:
    """Where lines end; with `quoted` not those inside of quotation marks."""
    ends, start, marks = [], 0, 0
    while (end := content.find(b"\n", start)) >= 0:
        marks += content.count(b'"', start, end) if quoted else 0
        start = end + 1
        if marks % 2 == 0:
            ends.append(start)
    return ends


def _entries_of_list(content: bytes) -> tuple[bytes, int] | None:
    """The whole entries of a JSON list of rows as a list, and their number; None where lines are rows themselves."""
    text, decoder = content.decode("utf-8-sig", "ignore"), json.JSONDecoder()
    position, entries = text.index("[") + 1, []
    while True:
        while text[position : position + 1] in (*SPACE, ","):
            position += 1
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        if not isinstance(value, dict | list):
            return None
        # A number or word may go on behind the cut, an object or list that is closed does not.
        entries.append(text[position:end])
        position = end
    return ("[" + ",\n".join(entries) + "]").encode() if entries else b"", len(entries)


def _zstandard(content: bytes) -> bytes:
    import pyarrow as pa

    return pa.compress(content, codec="zstd", asbytes=True)


_PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda content: gzip.compress(content, 1),
    ".bz2": bz2.compress,
    ".xz": lambda content: lzma.compress(content, preset=0),
    ".zst": _zstandard,
}
