from typing import NamedTuple

import pyarrow as pa
import pytest

from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.records.tables import (
    ROWS_PER_GROUP,
    WHOLE,
    Share,
    count_rows,
    read_batches,
    read_metadata,
    read_table,
    share_of,
    write_rows,
    write_table,
)

SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("text", pa.string())])


class Row(NamedTuple):
    id: int
    text: str


def table(first, last):
    return pa.table({"id": list(range(first, last)), "text": [f"text {i}" for i in range(first, last)]}, schema=SCHEMA)


def test_bytes_do_not_depend_on_how_the_rows_arrive(tmp_path):
    rows = ROWS_PER_GROUP + 10
    write_table(tmp_path / "whole", schema=SCHEMA, rows=[table(0, rows)])
    write_table(tmp_path / "parts", schema=SCHEMA, rows=[table(0, 7), table(7, 40_000), table(40_000, rows)])

    assert sha256_file(tmp_path / "whole") == sha256_file(tmp_path / "parts")
    assert count_rows(tmp_path / "parts") == rows


def test_metadata_comes_back(tmp_path):
    write_rows(tmp_path / "t", schema=SCHEMA, rows=[Row(1, "a")], metadata={"corpus": "abc"})

    assert read_metadata(tmp_path / "t") == {"corpus": "abc"}


def test_an_empty_table_is_a_table(tmp_path):
    assert write_table(tmp_path / "t", schema=SCHEMA, rows=[]) == 0
    assert read_table(tmp_path / "t").num_rows == 0


def test_batches_are_bounded(tmp_path):
    write_table(tmp_path / "t", schema=SCHEMA, rows=[table(0, 100)])

    assert [len(batch) for batch in read_batches(tmp_path / "t", rows=40)] == [40, 40, 20]


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(InputError, match="columns text are missing"):
        write_table(tmp_path / "t", schema=SCHEMA, rows=[pa.table({"id": [1]})])
    assert list(tmp_path.iterdir()) == []


def test_a_value_of_the_wrong_type_is_refused(tmp_path):
    with pytest.raises(InputError, match="check the rows"):
        write_table(tmp_path / "t", schema=SCHEMA, rows=[pa.table({"id": ["x"], "text": ["y"]})])


def test_the_share_of_a_job_is_named_by_its_paths_and_the_whole_where_they_name_none():
    assert share_of({"source": "toy", "part": "2", "parts": "5"}) == Share(2, 5)
    assert share_of({"source": "toy"}) == WHOLE
