"""Rows of Parquet files and workbooks, whose cells have types: each becomes a text, number, truth value or list."""

import contextlib
import datetime
import decimal
import io
import math
import re
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from f2llm.records.errors import InputError
from f2llm.rows.archives import MOST_NESTED_BYTES
from f2llm.rows.layout import NOT_UNICODE, Flaw, RowFile, RowLayout, Values, row_of, unique_names

if TYPE_CHECKING:
    import pyarrow as pa
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

PARQUET_ROWS = 4096
ALL_SHEETS = "*"
MERGED = re.compile(rb'mergeCell\s[^>]*?ref="([A-Z]+)(\d+):([A-Z]+)(\d+)"')
BLOCK_BYTES = 1 << 20
LONGEST_TAG = 200  # bytes of what MERGED finds
_ESCAPED = re.compile(r"_x00([01][0-9A-Fa-f])_")  # how a workbook writes control characters


def plain(value: Any) -> Any:  # noqa: ANN401 - a cell
    """A cell as JSON would hold it: what is no number is None, decimals are numbers, dates are texts.

    A date is written as 2024-05-31, and so is a moment at midnight; another moment as 2024-05-31 12:30:00.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, decimal.Decimal):
        if not value.is_finite():
            return None
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time() and value.tzinfo is None and not getattr(value, "nanosecond", 0)
        return str(value.date() if midnight else value)
    return str(value) if isinstance(value, datetime.date | datetime.time | uuid.UUID) else value


def parquet_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of a Parquet file; a text that is not UTF-8 makes its row a `Flaw`.

    Raises:
        InputError: not Parquet, cut, inside an archive, or a column stands twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if place.member:
        raise InputError(f"{place.where}: Parquet inside an archive cannot be read; unpack it")
    try:
        with place.file.seekable() as content, pq.ParquetFile(content) as table:
            unique_names(table.schema_arrow.names, where=place.where)
            for batch in table.iter_batches(PARQUET_ROWS):
                typed = {name for name in batch.schema.names if _has_other_values(batch[name])}
                for values in _rows_of(batch):
                    for name in values.keys() & typed:
                        values[name] = plain(values[name])
                    yield values if len(values) == len(batch.schema.names) else Flaw(NOT_UNICODE, values)
    except (pa.ArrowException, OSError, KeyError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(
            f"{place.where}: not readable as Parquet ({error}); fetch it again or mend the file"
        ) from error


def _rows_of(batch: "pa.RecordBatch") -> list[dict[str, Any]]:
    """The rows of a batch; one with a text that is not UTF-8 lacks that column."""
    # Asked for only where there are maps: it is slow.
    maps = {"maps_as_pydicts": "strict"} if "map<" in str(batch.schema.types) else {}
    try:
        return batch.to_pylist(**maps)
    except UnicodeDecodeError:
        if len(batch) > 1:
            return [row for number in range(len(batch)) for row in _rows_of(batch.slice(number, 1))]
    row = {}
    for name in batch.schema.names:
        try:
            row[name] = batch[name].to_pylist(**maps)[0]
        except UnicodeDecodeError:
            continue
    return [row]


def _has_other_values(column: "pa.Array") -> bool:
    """Whether cells of a column have to be made plain; a list of finite numbers (a vector) has not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_floating(kind):
        return not pc.all(pc.is_finite(column.cast(pa.float64())), min_count=0).as_py()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _has_other_values(column.flatten())
    if pa.types.is_struct(kind):
        return any(map(_has_other_values, column.flatten()))
    simple = (pa.types.is_integer, pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string, pa.types.is_null)
    return not any(is_kind(kind) for is_kind in simple)


def workbook_rows(place: RowFile, layout: RowLayout) -> Iterator[Values | Flaw]:
    """Yield the rows of a workbook's sheet: values only, the results of formulas as they were saved.

    Rows without any value are none. Macros are never run.

    Raises:
        InputError: no workbook, several sheets and none named, merged cells in the header, or a column stands twice.
    """
    with _opened_workbook(place) as (sheets, content):
        for sheet in _sheets(sheets, layout.sheet, where=place.where):
            where = f"{place.where}: sheet {sheet.title!r}"
            if not layout.columns:
                _check_header(sheet, content, where=where)
            yield from _sheet_rows(sheet, layout, where=where)


def filled_sheets(place: RowFile) -> list[str]:
    """The names of a workbook's sheets that hold something.

    Raises:
        InputError: no workbook.
    """
    with _opened_workbook(place) as (sheets, _):
        return [sheet.title for sheet in sheets if next(_cells_of(sheet), None)]


@contextlib.contextmanager
def _opened_workbook(place: RowFile) -> Iterator[tuple[Sequence["ReadOnlyWorksheet"], io.BytesIO]]:
    """Yield the sheets of a workbook, and its bytes; what its readers raise in the block is named."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise InputError(f"{place.where}: openpyxl is not installed; run `make setup`") from error
    with place.file.open(place.member) as stream:
        content = io.BytesIO(stream.read(MOST_NESTED_BYTES + 1))
    try:
        with zipfile.ZipFile(content) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > MOST_NESTED_BYTES:
            raise InputError(f"{place.where}: {unpacked:,} bytes unpacked; save it as CSV or Parquet")
        yield load_workbook(content, read_only=True, data_only=True, keep_links=False).worksheets, content
    except InputError:
        raise
    except Exception as error:  # it raises what its XML and zip readers raise
        raise InputError(f"{place.where}: not readable as a workbook ({error}); save or fetch it again") from error


def _sheets(sheets: Sequence["ReadOnlyWorksheet"], wanted: str, *, where: str) -> Iterator["ReadOnlyWorksheet"]:
    """Yield the wanted sheets: that of the name, all, or the only one that holds something."""
    names = ", ".join(repr(sheet.title) for sheet in sheets)
    if wanted not in ("", ALL_SHEETS):
        chosen = [sheet for sheet in sheets if sheet.title == wanted]
        if not chosen:
            raise InputError(f"{where}: there is no sheet {wanted!r}; it has {names}: correct the option `sheet`")
        yield from chosen
        return
    filled = [sheet for sheet in sheets if next(_cells_of(sheet), None)]
    if len(filled) > 1 and not wanted:
        raise InputError(f"{where}: it has the sheets {names}; name one with the option `sheet`, or save it as CSV")
    yield from filled


def _sheet_rows(sheet: "ReadOnlyWorksheet", layout: RowLayout, *, where: str) -> Iterator[Values | Flaw]:
    names = unique_names(layout.columns, where=f"{where}: option `columns`")
    for number, cells in _cells_of(sheet):
        if not names:
            names = unique_names(["" if cell is None else str(cell) for cell in cells], where=where)
            continue
        cells += [None] * (len(names) - len(cells))
        yield row_of(names, cells, place=f"{where}: row {number}", advice="give each column a name, or empty its cells")


def _check_header(sheet: "ReadOnlyWorksheet", content: io.BytesIO, *, where: str) -> None:
    """Refuse merged cells in the first row with values: only one of their columns would have a name."""
    header = next(_cells_of(sheet), (0, []))[0]
    # A sheet that is read in one pass does not tell them.
    with zipfile.ZipFile(content) as archive, archive.open(sheet._worksheet_path) as stream:
        rest = b""
        while block := stream.read(BLOCK_BYTES):
            for left, top, right, bottom in MERGED.findall(rest + block):
                if int(top) <= header <= int(bottom):
                    cells = f"{left.decode()}{top.decode()}:{right.decode()}{bottom.decode()}"
                    raise InputError(
                        f"{where}: the cells {cells} of its header are merged; give each column a name of its own in "
                        "one row, or name them with the option `columns` and leave rows out with `skip_rows`"
                    )
            rest = block[-LONGEST_TAG:]


def _cells_of(sheet: "ReadOnlyWorksheet") -> Iterator[tuple[int, list[Any]]]:
    """Yield number and cells of each row that holds a value, without the empty ones at its end."""
    sheet.reset_dimensions()  # some programs write wrong ones, and rows beyond them would be lost
    for number, row in enumerate(sheet.iter_rows(), 1):
        cells = [None if cell.data_type == "e" else _cell(cell.value) for cell in row]
        while cells and cells[-1] in (None, ""):
            cells.pop()
        if cells:
            yield number, cells


def _cell(value: Any) -> Any:  # noqa: ANN401 - a cell
    if isinstance(value, str):
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
    return plain(value)
