"""Tables of every schema open in the libraries that people read Parquet with, ids included."""

import importlib
import pkgutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records import schemas
from f2llm.records.schemas.curate import SHARED
from f2llm.records.schemas.sources import QUERIES
from f2llm.records.tables import ID, read_batches, read_table, write_table

MODULES = [
    importlib.import_module(f"{schemas.__name__}.{module.name}") for module in pkgutil.iter_modules(schemas.__path__)
]
ALL = {name: value for module in MODULES for name, value in vars(module).items() if isinstance(value, pa.Schema)}
ONE, TWO = bytes(range(16)), bytes(16)


def cell(kind):
    if pa.types.is_list(kind):
        return [cell(kind.value_type)] * 2
    if kind == ID:
        return ONE
    return "text" if pa.types.is_string(kind) else pa.scalar(1).cast(kind).as_py()


@pytest.fixture(params=sorted(ALL))
def table(request, tmp_path):
    """A table of one schema: a row of cells, and one of nulls and empty lists where these may be."""
    schema = ALL[request.param]
    full = {field.name: cell(field.type) for field in schema}
    bare = {f.name: [] if pa.types.is_list(f.type) else None if f.nullable else full[f.name] for f in schema}
    write_table(tmp_path / "t.parquet", schema=schema, rows=[pa.Table.from_pylist([full, bare], schema=schema)])
    return tmp_path / "t.parquet", schema, [full, bare]


def test_pandas_reads_it(table):
    import pandas

    path, schema, rows = table
    frame = pandas.read_parquet(path)
    assert list(frame.columns) == schema.names
    for field in schema:
        if field.type in (ID, pa.list_(ID)):
            assert [list(cell) if pa.types.is_list(field.type) else cell for cell in frame[field.name]] == [
                row[field.name] for row in rows
            ]


def test_polars_reads_it(table):
    import polars

    path, schema, rows = table
    assert polars.read_parquet(path).to_dicts() == rows


def test_duckdb_reads_it(table):
    import duckdb

    path, schema, rows = table
    cells = duckdb.connect(":memory:").execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    assert [dict(zip(schema.names, row, strict=True)) for row in cells] == rows


def test_datasets_reads_it_and_gives_it_to_pandas(table, tmp_path):
    from datasets import Dataset

    path, schema, rows = table
    data = Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    assert data.to_list() == rows
    assert list(data.to_pandas().columns) == schema.names


def test_rows_come_back_with_the_types_of_the_schema(table):
    path, schema, rows = table
    assert read_table(path).schema.remove_metadata() == schema
    assert [batch.schema.remove_metadata() for batch in read_batches(path)] == [schema]
    assert read_table(path).to_pylist() == rows


@pytest.mark.parametrize("schema", [SHARED, QUERIES])
def test_tables_of_before_whose_ids_have_a_fixed_size_are_read_all_the_same(tmp_path, schema):
    rows = [{field.name: cell(field.type) for field in schema}]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "before.parquet")
    assert read_table(tmp_path / "before.parquet").schema == schema
    assert [batch.to_pylist() for batch in read_batches(tmp_path / "before.parquet")] == [rows]


def test_an_id_of_another_length_is_not_written(tmp_path):
    from f2llm.records.errors import InputError

    schema = pa.schema([("id", ID)])
    with pytest.raises(InputError, match="widths must match"):
        write_table(tmp_path / "t", schema=schema, rows=[pa.table({"id": [b"short"]})])
