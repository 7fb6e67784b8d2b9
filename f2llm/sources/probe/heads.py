"""The first rows of remote files as small local files of the same names, for the product's own readers and adapters.

Of JSON, delimited and text files the first bytes are read, also of packed ones; of Parquet files the footer and the
first pages of the columns that the stanza names; of a zip archive its directory and the beginnings of members.
"""

import importlib
import inspect
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from f2llm.fetch.web import NoRanges
from f2llm.records.errors import InputError
from f2llm.records.files import SEPARATOR, check_member_name
from f2llm.rows.files import is_hidden
from f2llm.rows.layout import holds_rows, is_beside
from f2llm.sources.probe.cut import cut_head
from f2llm.sources.probe.part import Probed
from f2llm.sources.probe.places import ListedFile, open_file
from f2llm.sources.probe.remote import Budget, Spent

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FIRST_BYTES = 256 << 10  # of the first file of a pattern
OTHER_BYTES = 64 << 10  # of another one; also what is kept for its footer
PARQUET_ROWS = 64
BUFFER_BYTES = 64 << 10
MOST_FILES = 8  # of one source that are looked into
FILES_OF_PATTERN = 3


class Head:
    """What is known of one file, or of one member of an archive, and of the rows that lie in its small local file.

    Attributes:
        where: how records name it: "file", or "archive!member".
        pattern: what names it in the stanza.
        rows: all its rows, where that is known.
        seen: rows in the local file; `seen_bytes` of the file hold them. None are seen where it is too large for that.
        columns: names, of Parquet alone.
    """

    def __init__(self, where: str, pattern: str) -> None:
        self.where, self.pattern = where, pattern
        self.rows: int | None = None
        self.size = self.seen = self.seen_bytes = 0
        self.columns: tuple[str, ...] = ()


class Heads(NamedTuple):
    """The heads of a source's files: the local files' names, bytes of all files of each pattern, and what to say."""

    names: list[str]
    heads: list[Head]
    sizes: dict[str, int]  # pattern -> bytes; unpacked ones of members
    files: dict[str, int]  # pattern -> number of files or members
    remarks: list[str]


def write_heads(part: Probed, files: Sequence[ListedFile], *, folder: Path, budget: Budget) -> Heads:
    """Write the heads of a few of `files` into `folder`.

    Raises:
        InputError: a file cannot be read, or is not of its format.
    """
    found = Heads([], [], {}, {}, [])
    archives = bool(part.options.get("member"))
    if not archives:  # what lies beside the rows, as a README does, is passed over when they are read
        files = [file for file in files if not is_beside(file.name)] or files
    for file in files:
        if not archives:
            found.sizes[file.pattern] = found.sizes.get(file.pattern, 0) + (file.bytes or 0)
            found.files[file.pattern] = found.files.get(file.pattern, 0) + 1
    chosen = list(_chosen(files))
    for number, file in enumerate(chosen):
        first = file.pattern not in {before.pattern for before in chosen[:number]}
        budget.reserved = OTHER_BYTES * (len(chosen) - number - 1)
        try:
            with open_file(file, owner=part.owner, budget=budget) as stream:
                if archives:
                    _write_members(part, file, stream, folder=folder, found=found)
                elif file.name.lower().endswith(".parquet"):
                    found.heads.append(_write_parquet(part, file, stream, folder=folder, rows=first))
                    found.names.append(file.name)
                elif holds_rows(file.name, of=(".parquet",)):
                    found.remarks.append(f"{file.name}: not looked into, it is packed Parquet")
                else:
                    _write_text(file, stream, folder=folder, most=FIRST_BYTES if first else OTHER_BYTES, found=found)
        except Spent:
            found.remarks.append(f"{file.name}: not looked into, it would take too many bytes")
        except NoRanges:
            found.remarks.append(f"{file.name}: not looked into, the server sends no parts of files")
    budget.reserved = 0
    return found


def _chosen(files: Sequence[ListedFile]) -> Iterator[ListedFile]:
    """Yield of each pattern the first file, the last, and one of a folder between them, in the order of the files."""
    of_pattern: dict[str, list[ListedFile]] = {}
    for file in files:
        of_pattern.setdefault(file.pattern, []).append(file)
    chosen = []
    for group in of_pattern.values():
        ends = {PurePosixPath(group[0].name).parent, PurePosixPath(group[-1].name).parent}
        between = [file for file in group if PurePosixPath(file.name).parent not in ends]
        few = [group[0], *between[len(between) // 2 : len(between) // 2 + FILES_OF_PATTERN - 2], group[-1]]
        chosen += dict.fromkeys(few)
    yield from chosen[:MOST_FILES]


def _write_text(file: ListedFile, stream: BinaryIO, *, folder: Path, most: int, found: Heads) -> None:
    content = stream.read(min(most, file.bytes or most))
    whole = len(content) == file.bytes
    cut = cut_head(content, name=file.name, whole=whole)
    head = Head(file.name, file.pattern)
    found.heads.append(head)
    if content and not cut.content:
        found.remarks.append(f"{file.name}: no whole row lies in its first {len(content):,} bytes")
        return
    head.size, head.seen, head.seen_bytes = file.bytes or 0, cut.rows, cut.taken_bytes
    head.rows = cut.rows if whole and cut.taken_bytes == len(content) else None
    path = folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cut.content)
    found.names.append(file.name)


def _write_members(part: Probed, file: ListedFile, stream: BinaryIO, *, folder: Path, found: Heads) -> None:
    """Write an archive of the same name that holds the beginnings of a few of the members that the stanza names."""
    pattern = part.options["member"]
    if SEPARATOR in pattern:
        found.remarks.append(f"{file.name}: no rows were seen, they lie in an archive inside of it")
        return
    try:
        with zipfile.ZipFile(io.BufferedReader(stream, BUFFER_BYTES)) as archive:  # type: ignore[arg-type] - it is raw
            infos = [info for info in archive.infolist() if not info.is_dir() and not is_hidden(info.filename)]
            members = [info for info in infos if info.filename == pattern or fnmatchcase(info.filename, pattern)]
            if not members:
                raise InputError(f"{part.owner}: {file.name}: no member is named like {pattern!r}; correct `member`")
            found.sizes[pattern] = found.sizes.get(pattern, 0) + sum(info.file_size for info in members)
            found.files[pattern] = found.files.get(pattern, 0) + len(members)
            with zipfile.ZipFile(folder / file.name, "w") as small:
                for info in _chosen(
                    [file._replace(name=info.filename, bytes=info.file_size, pattern=pattern) for info in members]
                ):
                    check_member_name(info.name, where=f"{part.owner}: {file.name}")
                    with archive.open(info.name) as member:
                        content = member.read(OTHER_BYTES)
                    cut = cut_head(content, name=info.name, whole=len(content) == info.bytes)
                    head = Head(f"{file.name}{SEPARATOR}{info.name}", pattern)
                    head.size, head.seen, head.seen_bytes = info.bytes or 0, cut.rows, cut.taken_bytes
                    head.rows = cut.rows if len(content) == info.bytes else None
                    found.heads.append(head)
                    small.writestr(info.name, cut.content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(
            f"{part.owner}: {file.name}: not readable as a zip file ({error}); correct the place"
        ) from error
    found.names.append(file.name)


def _write_parquet(part: Probed, file: ListedFile, stream: BinaryIO, *, folder: Path, rows: bool) -> Head:
    """Write a file of the same columns that holds the first rows, or one of nulls where none are asked for or read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    head, path = Head(file.name, file.pattern), folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Buffered and not read ahead, else whole columns would be asked for.
        with pq.ParquetFile(stream, pre_buffer=False, buffer_size=BUFFER_BYTES) as table:
            schema = table.schema_arrow
            head.columns = tuple(schema.names)
            head.size, head.rows = file.bytes or 0, table.metadata.num_rows
            first = _first_rows(table, _wanted(schema.names, part)) if rows and head.rows else None
            head.seen = head.seen_bytes = len(first) if first else 0
            count = head.seen or 1
            columns = [
                first.column(field.name) if first and field.name in first.schema.names else pa.nulls(count, field.type)
                for field in schema
            ]
            fields = [field.with_nullable(True) for field in schema]
            pq.write_table(pa.table(columns, schema=pa.schema(fields)), path)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{part.owner}: {file.name}: not readable as Parquet ({error}); correct `files`") from error
    return head


def _first_rows(table: "pq.ParquetFile", wanted: Sequence[str]) -> "pa.Table | None":
    """The first rows of the smallest row group, of the wanted columns; None where they take too many bytes."""
    import pyarrow as pa

    meta = table.metadata
    sizes: list[dict[str, int]] = []
    for group in range(meta.num_row_groups):
        columns = [meta.row_group(group).column(number) for number in range(meta.num_columns)]
        of_column: dict[str, int] = {}
        for column in columns:
            name = column.path_in_schema.split(".")[0]
            of_column[name] = of_column.get(name, 0) + column.total_compressed_size
        sizes.append({name: of_column.get(name, 0) for name in wanted})
    filled = [group for group in range(meta.num_row_groups) if meta.row_group(group).num_rows]
    group = min(filled, key=lambda number: (sum(sizes[number].values()), number))
    read = {}
    try:
        for name in sorted(wanted, key=lambda name: sizes[group][name]):
            batches = table.iter_batches(PARQUET_ROWS, row_groups=[group], columns=[name], use_threads=False)
            read[name] = next(batches).column(0)
    except Spent:
        return None
    return pa.table(read)


def _wanted(names: Iterable[str], part: Probed) -> list[str]:
    """The columns that the stanza's options or the adapter's defaults name; all, where none is."""
    adapter = getattr(importlib.import_module(f"f2llm.sources.adapters.{part.adapter}"), part.adapter)
    defaults = {name: option.default for name, option in inspect.signature(adapter).parameters.items()}
    named = set(_texts({**defaults, **part.options}))
    heads = {name.split(".")[0] for name in named}
    patterns = [name for name in named if "*" in name]
    wanted = [
        name for name in names if name in named | heads or any(fnmatchcase(name, pattern) for pattern in patterns)
    ]
    return wanted or list(names)


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - options of a stanza
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts([key, inner])
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
