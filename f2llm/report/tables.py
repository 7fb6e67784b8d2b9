"""The tables of a report. What the page shows is rendered from them, and they lie beside it as Parquet."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.records.files import atomic_path
from f2llm.records.tables import write_table

TEXT, LONG, COUNT, POINTS, GAIN = "text", "long", "count", "points", "gain"
SCORE, LOSS, SHARE, SECONDS = "score", "loss", "share", "seconds"
# Kind of a column -> its type on disk, and how a person reads a value.
KINDS: dict[str, tuple[pa.DataType, Callable[[Any], str]]] = {
    TEXT: (pa.string(), str),
    LONG: (pa.string(), str),  # a wide cell
    COUNT: (pa.int64(), "{:,}".format),
    POINTS: (pa.float64(), "{:.1f}".format),  # 0..100
    GAIN: (pa.float64(), "{:+.1f}".format),  # points
    SCORE: (pa.float64(), "{:.2f}".format),  # cosines, -1..1
    LOSS: (pa.float64(), "{:.3f}".format),
    SHARE: (pa.float64(), "{:.1%}".format),  # 0..1
    SECONDS: (pa.float64(), "{:,.0f}".format),
}
NOTHING = "\N{EN DASH}"


class Column(NamedTuple):
    """A column: its name on disk, its heading on the page, one of KINDS."""

    name: str
    heading: str
    kind: str

    @property
    def numeric(self) -> bool:
        """Whether it stands on the right."""
        return self.kind not in (TEXT, LONG)

    def shown(self, value: Any) -> str:  # noqa: ANN401 - any cell
        """A value as a person reads it."""
        if value is None:
            return NOTHING if self.numeric else ""
        return KINDS[self.kind][1](value)


def columns(kind: str, /, *names: str, **headings: str) -> list[Column]:
    """Columns of one kind: those of `names` are headed by their name, those after them as `headings` says."""
    return [Column(name, heading, kind) for name, heading in [*zip(names, names, strict=True), *headings.items()]]


class Cell(NamedTuple):
    """A value as the page shows it."""

    text: str
    kind: str
    numeric: bool


class ReportTable(NamedTuple):
    """A table of the report; rows have a value for every column, None where there is none."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    def arrow(self) -> pa.Table:
        """The table as it lies on disk."""
        schema = pa.schema([pa.field(column.name, KINDS[column.kind][0]) for column in self.columns])
        values = [list(column) for column in zip(*self.rows, strict=True)] or [[] for _ in self.columns]
        return pa.table(values, schema=schema)

    def without_empty_text(self) -> "ReportTable":
        """The table without columns of text that are empty in every row."""
        kept = [n for n, column in enumerate(self.columns) if column.numeric or any(row[n] for row in self.rows)]
        return ReportTable([self.columns[n] for n in kept], [[row[n] for n in kept] for row in self.rows])

    def cells(self) -> list[list[Cell]]:
        """The rows as the page shows them."""
        return [
            [
                Cell(column.shown(value), column.kind, column.numeric)
                for value, column in zip(row, self.columns, strict=True)
            ]
            for row in self.rows
        ]

    def first(self, rows: int) -> "ReportTable":
        """The first rows."""
        return self._replace(rows=self.rows[:rows])

    def column(self, name: str) -> list[Any]:
        """The values of the column `name`."""
        place = [column.name for column in self.columns].index(name)
        return [row[place] for row in self.rows]

    def only(self, name: str, value: str) -> "ReportTable":
        """The rows with `value` in the column `name`."""
        kept = [row for row, cell in zip(self.rows, self.column(name), strict=True) if cell == value]
        return self._replace(rows=kept)


def write_csv(path: Path, table: ReportTable) -> None:
    """Write a table as CSV, for programs that read no Parquet."""
    from pyarrow import csv

    with atomic_path(path) as aside:
        csv.write_csv(table.arrow(), aside)


def write_tables(folder: Path, tables: Mapping[str, ReportTable]) -> None:
    """Write each table as {name}.parquet into an empty folder."""
    for name, table in tables.items():
        content = table.arrow()
        write_table(folder / f"{name}.parquet", schema=content.schema, rows=[content])
