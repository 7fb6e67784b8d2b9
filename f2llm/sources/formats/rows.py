"""Rows of JSON lines, CSV, tab-separated and Parquet files, plain or compressed, alone or in archives."""

import csv
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from f2llm.errors import InputError
from f2llm.sources.archives import SEPARATOR, RawFile

COMPRESSED = (".gz", ".bz2")
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET_ROWS = 4096
MOST_FIELD_CHARACTERS = 1 << 30


class Row(NamedTuple):
    """One row; `row` is its 0-based ordinal among the data rows of its file."""

    file: str
    row: int
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the rows lie in a file. The format follows from its suffix."""

    member: str = ""  # inside an archive; empty for files that are data themselves
    columns: Sequence[str] = ()  # names for delimited files without a header
    delimiter: str = ""  # for delimited files; empty: by suffix
    comment: str = ""  # lines that begin with it are left out
    skip_rows: int = 0  # rows after the header that are no data
    encoding: str = "utf-8-sig"
    errors: str = "strict"  # or replace: what happens to bytes that are not `encoding`


def read_rows(files: Sequence[RawFile], layout: Layout, *, needed: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of all files, one after the other.

    Raises:
        InputError: a file of an unknown format, or one whose first row lacks a column of `needed`.
    """
    for file in files:
        name = PurePosixPath((layout.member or file.name).split(SEPARATOR)[-1])
        suffix = name.with_suffix("").suffix if name.suffix in COMPRESSED else name.suffix
        where, read = file.where(layout.member), _READERS.get(suffix)
        if read is None:
            raise InputError(
                f"{where}: rows of {suffix or 'files without a suffix'} cannot be read; use {', '.join(_READERS)}"
            )
        for row, values in enumerate(itertools.islice(read(file, layout, suffix), layout.skip_rows, None)):
            missing = [column for column in needed if column not in values] if row == 0 else []
            if missing:
                raise InputError(
                    f"{where}: there is no column {', '.join(map(repr, missing))}; it has "
                    f"{', '.join(map(repr, values))}: name the right one in the stanza's options"
                )
            yield Row(where, row, values)


def _delimited(file: RawFile, layout: Layout, suffix: str) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(MOST_FIELD_CHARACTERS)
    with file.text(layout.member, encoding=layout.encoding, errors=layout.errors) as lines:
        kept = (line for line in lines if not layout.comment or not line.startswith(layout.comment))
        names = list(layout.columns) or None
        try:
            yield from csv.DictReader(kept, fieldnames=names, delimiter=layout.delimiter or DELIMITERS[suffix])
        except csv.Error as error:
            raise InputError(
                f"{file.where(layout.member)}: not readable as {suffix} ({error}); mend the file"
            ) from error


def _json_lines(file: RawFile, layout: Layout, suffix: str) -> Iterator[Mapping[str, Any]]:
    with file.text(layout.member, encoding=layout.encoding, errors=layout.errors) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{file.where(layout.member)}: line {number}: {error}; mend that line") from error
            if not isinstance(values, dict):
                raise InputError(
                    f"{file.where(layout.member)}: line {number}: not an object; write {{...}} on each line"
                )
            yield values


def _parquet(file: RawFile, layout: Layout, suffix: str) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq

    if layout.member:
        raise InputError(f"{file.where(layout.member)}: Parquet inside an archive cannot be read; unpack it")
    with pq.ParquetFile(file.path) as table:
        for batch in table.iter_batches(PARQUET_ROWS):
            yield from batch.to_pylist()


_READERS = {
    **dict.fromkeys(JSON_LINES, _json_lines),
    **dict.fromkeys(DELIMITERS, _delimited),
    ".parquet": _parquet,
}
