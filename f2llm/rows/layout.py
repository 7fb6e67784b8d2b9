"""Where rows lie and how: a file or the member of an archive, the format by its suffix, the options of a reader."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from f2llm.records.errors import InputError
from f2llm.records.files import SEPARATOR
from f2llm.rows.archives import COMPRESSIONS, RawFile

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
JSON_LINES = (".jsonl", ".ndjson")
WORKBOOKS = (".xlsx", ".xlsm")
TABLES = (*JSON_LINES, ".json", *DELIMITERS, ".parquet", *WORKBOOKS)
SUFFIXES = (*TABLES, ".txt")  # each may be compressed
# Formats that may well hold rows and are not read: never passed over as a README is.
CONTAINERS = (
    ".zip", ".whl", ".tar", ".tgz", ".7z", ".rar", ".xls", ".xlsb", ".ods", ".arrow", ".feather", ".orc", ".avro",
    ".pkl", ".pickle", ".npy", ".npz", ".h5", ".hdf5", ".db", ".duckdb", ".sqlite", ".sqlite3",
)  # fmt: skip
# Texts that lie beside data and are none, whatever their suffix.
ABOUT = re.compile(r"(?:readme|licen[cs]e|copying|notice|changelog)\b.*", re.IGNORECASE)
TEXT_COLUMN = "text"  # of files that hold one text a line
TOO_SHORT = "row has fewer fields than there are columns"
NOT_UNICODE = "text is not valid Unicode"

Values = Mapping[str, Any]


class Flaw(NamedTuple):
    """A row that cannot be used as it is.

    Attributes:
        reason: a sentence, the same for the same cause; of a broken row also where it is and what to do.
        values: what can be read of it.
        columns: the columns that are at fault; empty: all.
        broken: the file is at fault and not the row, so nothing of the file may be trusted.
    """

    reason: str
    values: Values
    columns: Collection[str] = ()
    broken: bool = False


class RowFile(NamedTuple):
    """A file of rows: plain (member "") or a member of an archive."""

    file: RawFile
    member: str = ""

    @property
    def name(self) -> str:
        """Path inside the archive, or of the plain file."""
        return self.member.split(SEPARATOR)[-1] or self.file.name

    @property
    def where(self) -> str:
        """How the tables name it: "file!member", or "file"."""
        return self.file.where(self.member)

    @property
    def suffix(self) -> str:
        """The suffix that names its format, in lower case and without that of a compression."""
        return _uncompressed(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """Its name without compression and format suffix: "dba.example.com.jsonl.gz" -> "dba.example.com"."""
        plain = _uncompressed(self.name)
        return plain.stem if plain.suffix.lower() in SUFFIXES else plain.name


def holds_rows(name: str, *, of: Collection[str] = SUFFIXES) -> bool:
    """Whether the suffix of a file, without that of a compression, is one of those that rows are read of."""
    return _uncompressed(name).suffix.lower() in of


def is_beside(name: str) -> bool:
    """Whether a file lies beside the rows of a source and holds none: by its suffix, or as README.txt by its name."""
    return not holds_rows(name) or (holds_rows(name, of=(".txt",)) and bool(ABOUT.fullmatch(_uncompressed(name).stem)))


def _uncompressed(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() in COMPRESSIONS else path


@dataclass(frozen=True, kw_only=True)
class RowLayout:
    """How the rows lie in the files: options of every adapter that reads rows. The format follows from the suffix."""

    member: str = ""  # inside an archive; may be a glob pattern; empty for files that are data themselves
    columns: Sequence[str] = ()  # names for delimited files without a header, and for JSON rows that are lists
    delimiter: str = ""  # for delimited files; empty: by suffix
    quoting: Literal["", "none", "minimal"] = ""  # are quotation marks letters; empty: minimal in .csv, else none
    comment: str = ""  # lines between rows that begin with it are left out
    skip_rows: int = 0  # rows after the header that are no data
    sheet: str = ""  # of a workbook; empty: its only one, "*": all
    lists: Sequence[str] = ()  # columns whose texts are lists, in JSON or as Python writes them
    encoding: str = "utf-8-sig"
    errors: str = "strict"  # or replace: what happens to bytes that are not `encoding`
    file_column: str = ""  # a column of this name is added: the name of the row's file without its suffixes
    only: Mapping[str, Sequence[str]] = field(default_factory=dict)  # column -> texts; other rows are left out
    distinct: str = ""  # column; of rows with one text in it the first counts, over all files

    def __post_init__(self) -> None:
        if self.quoting not in ("", "none", "minimal"):
            raise InputError(f"quoting: {self.quoting!r} is not known; write none or minimal")
        if self.errors.startswith("surrogate"):
            raise InputError(f"errors: {self.errors!r} makes texts that are not valid Unicode; write strict or replace")
        if self.delimiter and len(self.delimiter) != 1:
            raise InputError(f"delimiter: {self.delimiter!r} is not one character; correct it")


def unique_names(names: Sequence[str], *, where: str) -> list[str]:
    """The names of columns; one without a name is called by its place, as "column 3".

    Raises:
        InputError: a name stands twice.
    """
    named = [name if name.strip() else f"column {number}" for number, name in enumerate(names, 1)]
    twice = [name for name in dict.fromkeys(named) if named.count(name) > 1]
    if twice:
        raise InputError(f"{where}: the column {twice[0]!r} is there twice; rename one of them or take it out")
    return named


def row_of(names: Sequence[str], cells: Sequence[Any], *, place: str, advice: str = "") -> Values | Flaw:
    """The row of cells that lie in the order of `names`.

    A single empty cell too many at the end is harmless. `place` says where the row lies, `advice` what to do.
    """
    if len(cells) == len(names):
        return dict(zip(names, cells, strict=True))
    values = dict(zip(names, cells, strict=False))
    if len(cells) < len(names):
        return Flaw(TOO_SHORT, values | dict.fromkeys(names[len(cells) :]), names[len(cells) :])
    if len(cells) == len(names) + 1 and cells[-1] in ("", None):
        return values
    columns = "the only column" if len(names) == 1 else f"{len(names)} columns"
    fault = f"{place}: {len(cells)} fields for {columns} {', '.join(map(repr, names[:8]))}; {advice}"
    return Flaw(fault, values, broken=True)
