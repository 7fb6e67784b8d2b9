"""What a cell holds, whatever format it was read of: missing values, numbers, truth values, dates, lists, bytes."""

import datetime
import decimal
import json

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.rows.fields import FieldError, label_of, list_in, text_of, texts_of
from f2llm.rows.layout import NOT_UNICODE


@pytest.fixture
def column(write, read, tmp_path):
    """Return a function that writes a column `x` in a format and gives it as texts."""

    def texts(suffix, values, **layout):
        path = tmp_path / f"a{suffix}"
        if suffix == ".parquet":
            pq.write_table(pa.table({"x": values, "n": list(range(len(values)))}), path)
        elif suffix == ".xlsx":
            book = openpyxl.Workbook()
            for row in (("x", "n"), *((value, number) for number, value in enumerate(values))):
                book.active.append(row)
            book.save(path)
        elif suffix == ".json":
            write(path.name, json.dumps([{"x": value} for value in values]))
        else:
            write(path.name, "".join(json.dumps({"x": value}) + "\n" for value in values))
        return [text_of(row, "x") for row in read(path, **layout)]

    return texts


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_nan_infinities_and_null_are_missing(column, suffix):
    assert column(suffix, [1.5, None, float("nan"), float("inf"), float("-inf")]) == ["1.5", "", "", "", ""]


def test_missing_values_of_lists_and_objects_are_missing(read, tmp_path):
    rows = [{"x": [1.0, float("nan"), None], "y": {"z": float("nan")}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text(json.dumps(rows[0]))
    assert read(tmp_path / "a.parquet") == read(tmp_path / "a.jsonl") == [{"x": [1.0, None, None], "y": {"z": None}}]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".xlsx"])
def test_texts_that_sound_like_missing_values_are_texts(column, suffix):
    words = ["NA", "null", "None", "nan", "N/A", "NaN", "007"]
    assert column(suffix, words) == words


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".xlsx"])
def test_whole_numbers_are_written_without_point_whatever_their_type(column, suffix):
    assert column(suffix, [1, 0, 12]) == column(suffix, [1.0, -0.0, 12.0]) == ["1", "0", "12"]
    assert column(suffix, [0.5, 1e22]) == ["0.5", "1e+22"]


def test_numbers_of_a_csv_file_stay_as_they_are_written(write, read):
    assert [text_of(row, "x") for row in read(write("a.csv", "x\n01\n1.0\n1\n"))] == ["01", "1.0", "1"]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".xlsx"])
def test_truth_values_have_one_spelling_as_labels(column, suffix):
    assert column(suffix, [True, False]) == ["true", "false"]
    assert [label_of(text) for text in ("True", "TRUE", "true", "False", "truth", True)] == [
        "true", "true", "true", "false", "truth", "true",
    ]  # fmt: skip


def test_decimals_are_numbers(column):
    assert column(".parquet", [decimal.Decimal("3.50"), decimal.Decimal("3.00"), None]) == ["3.5", "3", ""]


def test_dates_are_texts_and_midnight_is_a_date(column):
    day, noon = datetime.datetime(2024, 5, 31), datetime.datetime(2024, 5, 31, 12, 30)
    for suffix in (".parquet", ".xlsx"):
        assert column(suffix, [day, noon, None]) == ["2024-05-31", "2024-05-31 12:30:00", ""]
        assert column(suffix, [day.date()]) == ["2024-05-31"]
    assert column(".parquet", [datetime.time(8, 5)]) == ["08:05:00"]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(b"\xff", "holds bytes, no text; write it as text"), (datetime.timedelta(1), "holds values of the type timedelta"), ({"k": "v"}, "holds objects, no text; name what is inside it, as 'x.key'")],
)  # fmt: skip
def test_what_is_no_text_is_refused_by_name_where_it_is_asked_for(column, value, kind):
    with pytest.raises(FieldError, match=f"the column 'x' {kind}"):
        column(".parquet", [value])


def test_texts_that_show_nothing_are_no_texts():
    assert text_of({"text": "\u200b \xad"}, "text") == ""
    assert texts_of({"text": ["\u2060", " a "]}, "text") == ("a",)


def test_numbers_in_lists_are_texts_too():
    assert texts_of({"x": [1, 2.0, None, " a ", ""]}, "x") == ("1", "2", "a")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("['right a', 'right b']", ["right a", "right b"]),
        ('["a", null]', ["a", None]),
        ("""["it's", 'a "b"']""", ["it's", 'a "b"']),
        ("[]", []),
        ("['a' 'b']", None),
        ("['a'\n 'b']", None),
        ("[a, b]", None),
        ("('a', 'b')", None),
        ("__import__('os').system('x')", None),
        ("[__import__('os')]", None),
        ("[" * 100_000, None),
        ("text", None),
    ],
)
def test_a_text_may_spell_a_list(text, value):
    assert list_in(text) == value


def test_the_option_lists_reads_texts_as_lists_and_leaves_out_what_is_none(write, read_needed):
    path = write("a.csv", 'query,positive\nq,"[\'a\', \'b\']"\nr,"[""c""]"\ns,[d]\nt,\n')
    values, left_out = read_needed(path, "query", lists=["positive"])
    assert [row["positive"] for row in values] == [["a", "b"], ["c"], ""]
    assert left_out == [("'positive' is no list in JSON or Python's form", 1)]
    with pytest.raises(InputError, match="no column 'other'"):
        read_needed(path, "query", lists=["other"])


@pytest.mark.parametrize("bad", [{"query": "bad \ude00", "positive": "p"}, {"query": "q", "positive": ["p", "\ud800"]}, {"query": "q", "positive": "p", "more": {"\udfff": 1}}])  # fmt: skip
def test_a_row_with_half_a_surrogate_pair_is_left_out_and_counted(write, read_needed, bad):
    good = {"query": "q \U0001f600", "positive": "p"}
    path = write("a.jsonl", json.dumps(good) + "\n" + json.dumps(bad) + "\n")
    assert read_needed(path, "query") == ([good], [(NOT_UNICODE, 1)])


def test_a_parquet_text_that_is_not_utf_8_is_left_out_and_counted(read_needed, tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array(["ab", "cd"]).buffers()[:2] + [pa.py_buffer(b"ab\xff\xfe")])
    pq.write_table(pa.table({"query": ["q", "r"], "positive": broken}), tmp_path / "a.parquet")
    assert read_needed(tmp_path / "a.parquet", "query") == ([{"query": "q", "positive": "ab"}], [(NOT_UNICODE, 1)])


def test_maps_of_parquet_are_objects(read, tmp_path):
    maps = pa.array([[("a", 1.0), ("b", float("nan"))], None], pa.map_(pa.string(), pa.float64()))
    pq.write_table(pa.table({"x": maps}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [{"x": {"a": 1.0, "b": None}}, {"x": None}]
