"""Any table of texts, written by other programs, comes back as it was.

What a format itself does not keep is stated: pandas puts no marks around a carriage return alone (which is refused),
a workbook has no control characters.
"""

import csv
import functools
import json
import re

import duckdb
import openpyxl  # noqa: F401 - loaded here, as that takes longer than a test may
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from f2llm.rows.archives import RawFile
from f2llm.rows.layout import Flaw, RowFile, RowLayout
from f2llm.rows.reader import sound_rows

COLUMNS = ("query", "positive", "note")
# All of Unicode but surrogates, with the characters that formats give a meaning far more often than others.
LETTERS = st.one_of(
    st.sampled_from("\",;\t\n\r\\'#[]{} \u2028\u0085\ufeff\0a"), st.characters(exclude_categories=["Cs"])
)
TEXTS = st.text(LETTERS, max_size=8)
TABLES = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5)
NO_BOOK_TEXT = re.compile(r"[\x00-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_|x005F_")


def frame(rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def pandas_csv(path, rows):
    frame(rows).to_csv(path, index=False)


def pandas_tsv(path, rows):
    frame(rows).to_csv(path, index=False, sep="\t")


def excel_csv(path, rows):
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, dialect="excel", delimiter=";").writerows([COLUMNS, *rows])


def pandas_jsonl(path, rows):
    frame(rows).to_json(path, orient="records", lines=True)


def pandas_json(path, rows):
    frame(rows).to_json(path, orient="records", force_ascii=False)


def json_lists(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def pandas_parquet(path, rows):
    frame(rows).to_parquet(path)


def pandas_xlsx(path, rows):
    frame(rows).to_excel(path, index=False)


def polars_csv(path, rows):
    pl.DataFrame(rows, schema=list(COLUMNS), orient="row").write_csv(path)


def polars_ndjson(path, rows):
    pl.DataFrame(rows, schema=list(COLUMNS), orient="row").write_ndjson(path)


def polars_parquet(path, rows):
    pl.DataFrame(rows, schema=list(COLUMNS), orient="row").write_parquet(path)


@functools.cache
def engine():
    return duckdb.connect()


def copied(path, rows, *, options):
    engine().register("rows", pl.DataFrame(rows, schema=list(COLUMNS), orient="row").to_arrow())
    engine().execute(f"COPY rows TO '{path}' ({options})")


def duckdb_csv(path, rows):
    copied(path, rows, options="FORMAT csv, HEADER true")


def duckdb_json(path, rows):
    copied(path, rows, options="FORMAT json")


def duckdb_parquet(path, rows):
    copied(path, rows, options="FORMAT parquet")


def in_book(text):
    return NO_BOOK_TEXT.sub("", text).removeprefix("=")


def as_texts(rows):
    """The rows with missing texts as empty ones: some formats have no empty texts, and to fields both are the same."""
    return [tuple(text or "" for text in row) for row in rows]


WRITERS = {
    "pandas.csv": (pandas_csv, {}),
    "pandas.tsv": (pandas_tsv, {"quoting": "minimal"}),
    "excel.csv": (excel_csv, {"delimiter": ";"}),
    "pandas.jsonl": (pandas_jsonl, {}),
    "pandas.json": (pandas_json, {}),
    "lists.jsonl": (json_lists, {"columns": COLUMNS}),
    "pandas.parquet": (pandas_parquet, {}),
    "pandas.xlsx": (pandas_xlsx, {}),
    "polars.csv": (polars_csv, {}),
    "polars.ndjson": (polars_ndjson, {}),
    "polars.parquet": (polars_parquet, {}),
    "duckdb.csv": (duckdb_csv, {}),
    "duckdb.json": (duckdb_json, {}),
    "duckdb.parquet": (duckdb_parquet, {}),
}


@pytest.mark.parametrize("name", WRITERS)
@given(rows=TABLES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_of_texts_comes_back_as_it_was(tmp_path, name, rows):
    write, layout = WRITERS[name]
    if name.endswith("xlsx"):
        rows = [("row", *map(in_book, row[1:])) for row in rows]
    if name in ("pandas.csv", "pandas.tsv"):
        rows = [tuple(re.sub("\r(?!\n)", "\r\n", text) for text in row) for row in rows]
    path = tmp_path / name
    write(path, rows)
    read = list(sound_rows(RowFile(RawFile(path, name=name)), RowLayout(**layout)))
    assert not [row for row in read if isinstance(row, Flaw)]
    assert as_texts(tuple(row.values()) for row in read) == rows
    assert [tuple(row) for row in read] == [COLUMNS] * len(rows)
