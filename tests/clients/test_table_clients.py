"""Tables of every schema open in datasets 4, which reads no binary of fixed size."""

import json

import pyarrow as pa

from f2llm.records.schemas import curate, evaluate, mine, plan, publish, sources, tasks, train
from f2llm.records.tables import ID, write_table

MODULES = (curate, evaluate, mine, plan, publish, sources, tasks, train)


def test_datasets_4_reads_tables_of_every_schema(client, tmp_path):
    schemas = {
        name: value for module in MODULES for name, value in vars(module).items() if isinstance(value, pa.Schema)
    }
    for name, schema in schemas.items():
        rows = pa.Table.from_pylist([{field.name: _cell(field.type) for field in schema}], schema=schema)
        write_table(tmp_path / f"{name}.parquet", schema=schema, rows=[rows])
    told = client("older", "datasets", *(tmp_path / f"{name}.parquet" for name in schemas))
    assert json.loads(told.splitlines()[-1]) == [1] * len(schemas)


def _cell(kind):
    if pa.types.is_list(kind):
        return [_cell(kind.value_type)]
    if kind == ID:
        return bytes(16)
    return "text" if pa.types.is_string(kind) else pa.scalar(1).cast(kind).as_py()
