"""Parquet tables with a fixed schema and layout: equal rows give equal bytes. Also a job's share of a table's rows.

Ids have 16 bytes each. In memory their type says so (`ID`), which lets code view a column as an array; in files it is
plain `binary`, since pandas, datasets and what rests on them cannot read Arrow's lists of fixed size, or no fixed size
at all. Tables that were written with `ID` are read all the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.records.errors import InputError
from f2llm.records.files import atomic_path

ROWS_PER_GROUP = 65_536
Rows = Iterable[pa.RecordBatch | pa.Table]
ID, STORED_ID = pa.binary(16), pa.binary()
NO_ROW = -1  # in place of the number of a row, where there is none


class Share(NamedTuple):
    """The rows of one of several jobs on a table: share `number` (from 0) of `of` equal ones."""

    number: int
    of: int

    def rows(self, count: int) -> range:
        """Cut this share out of a table of `count` rows."""
        return range(count * self.number // self.of, count * (self.number + 1) // self.of)


WHOLE = Share(0, 1)


def share_of(wildcards: Mapping[str, str]) -> Share:
    """The share that `part` and `parts` in the paths of a job name; the whole where they are not there."""
    part = wildcards.get("part")
    return WHOLE if part is None else Share(int(part), int(wildcards["parts"]))


def write_table(path: str | Path, *, schema: pa.Schema, rows: Rows, metadata: dict[str, str] | None = None) -> int:
    """Write batches to `path` atomically; gives the number of rows.

    Batches are re-cut to row groups of 65,536 rows, so the bytes do not depend on how the rows
    arrived. `metadata` goes into the file's key-value metadata (upstream hashes, settings; no
    dates). Columns must be those of `schema`, in any order.

    Raises:
        InputError: a batch lacks a column of `schema` or a value does not fit its type.
    """
    stored = _retyped(schema, ID, STORED_ID).with_metadata(metadata or None)
    count, waiting, waiting_rows = 0, [], 0
    with atomic_path(path) as aside:
        with pq.ParquetWriter(aside, stored, compression="zstd") as writer:
            for batch in rows:
                waiting.append(_fit(batch, schema, where=str(path)))
                waiting_rows += len(batch)
                count += len(batch)
                while waiting_rows >= ROWS_PER_GROUP:
                    table = pa.concat_tables(waiting)
                    group = _stored(table.slice(0, ROWS_PER_GROUP).combine_chunks(), stored)
                    writer.write_table(group, row_group_size=ROWS_PER_GROUP)
                    waiting, waiting_rows = [table.slice(ROWS_PER_GROUP)], waiting_rows - ROWS_PER_GROUP
            if waiting_rows:
                group = _stored(pa.concat_tables(waiting).combine_chunks(), stored)
                writer.write_table(group, row_group_size=ROWS_PER_GROUP)
    return count


def write_rows(
    path: str | Path, *, schema: pa.Schema, rows: Sequence[Any], metadata: dict[str, str] | None = None
) -> int:
    """Write a list of NamedTuples whose fields are the columns of `schema`."""
    table = pa.Table.from_pylist([row._asdict() for row in rows], schema=schema)
    return write_table(path, schema=schema, rows=[table], metadata=metadata)


def read_batches(
    path: str | Path, *, columns: Sequence[str] | None = None, rows: int = 8192
) -> Iterator[pa.RecordBatch]:
    """Yield the table in batches of at most `rows` rows; memory is one row group."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(rows, columns=columns and list(columns)):
            yield batch.cast(_retyped(batch.schema, STORED_ID, ID))


def numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield each batch of a table behind the number of its first row."""
    first = 0
    for batch in batches:
        yield first, batch
        first += len(batch)


def read_table(path: str | Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a whole table; for tables that config bounds (queries of a source, tuples, reports)."""
    with pq.ParquetFile(path) as file:
        table = file.read(columns=columns and list(columns))
    return table.cast(_retyped(table.schema, STORED_ID, ID))


def count_rows(path: str | Path) -> int:
    """Number of rows, from the file's footer."""
    return pq.read_metadata(path).num_rows


def read_metadata(path: str | Path) -> dict[str, str]:
    """Key-value metadata that `write_table` stored."""
    stored = pq.read_schema(path).metadata or {}
    return {key.decode(): value.decode() for key, value in stored.items() if key != b"ARROW:schema"}


def _retyped(schema: pa.Schema, old: pa.DataType, new: pa.DataType) -> pa.Schema:
    """The schema with `new` for columns, and lists, of type `old`."""
    for place, field in enumerate(schema):
        if field.type == old:
            schema = schema.set(place, field.with_type(new))
        elif pa.types.is_list(field.type) and field.type.value_type == old:
            schema = schema.set(place, field.with_type(pa.list_(field.type.value_field.with_type(new))))
    return schema


def _stored(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with ids of the types of `schema`, which files have."""
    every_row = pa.array(np.arange(len(table)))
    for place, field in enumerate(schema):
        if table.schema.field(place).type != field.type:
            # Copied by row first: a cast of part of a column copies all that it is a part of.
            column = table.column(place).take(every_row).cast(field.type)
            table = table.set_column(place, field, column)
    return table


def _fit(batch: pa.RecordBatch | pa.Table, schema: pa.Schema, *, where: str) -> pa.Table:
    missing = [name for name in schema.names if name not in batch.schema.names]
    if missing:
        raise InputError(f"{where}: columns {', '.join(missing)} are missing; write all columns of the schema")
    table = pa.table(batch) if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: {error}; check the rows against the schema") from error
