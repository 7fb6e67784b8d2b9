"""The formats: JSON in lines, as a list and as lists; Parquet; workbooks; suffixes; damaged files."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.rows import archives, json_rows
from f2llm.rows.archives import RawFile
from f2llm.rows.layout import TOO_SHORT, RowLayout
from f2llm.rows.reader import NOT_FIRST, NOT_SELECTED, RawRows

ROWS = [{"query": "q\u2028", "positive": ["p"]}, {"query": 'r "s"\n', "positive": []}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def parquet():
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), file)
    return file.getvalue()


def zstandard(content):
    return pa.compress(content, codec="zstd", asbytes=True)


COMPRESSED = {".gz": gzip.compress(LINES), ".bz2": bz2.compress(LINES), ".xz": lzma.compress(LINES), ".zst": zstandard(LINES)}  # fmt: skip


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "A.JSONL", "a.json"])
def test_lines_of_json_are_rows(write, read, name):
    assert read(write(name, b"\n" + LINES + b"\n")) == ROWS


def test_a_list_of_json_is_rows(write, read):
    assert read(write("a.json", json.dumps(ROWS, indent=1))) == ROWS
    assert read(write("b.json", " [ ] ")) == read(write("c.json", "")) == []


VALUES = [
    {"a": 'x"\\\n', "b": [1, -2.5e3, True, None, "\U0001f600"]},
    {"a": "", "b": {"c": [[]]}},
    {"a": "y" * 40, "b": 12},
]


@pytest.mark.parametrize("characters", range(1, 48))
@pytest.mark.parametrize("form", [{}, {"indent": 1}, {"ensure_ascii": False}])
def test_a_list_of_json_is_the_same_wherever_its_reading_stops(write, read, monkeypatch, characters, form):
    monkeypatch.setattr(json_rows, "READ_CHARACTERS", characters)
    assert read(write("a.json", f" \n{json.dumps(VALUES, **form)}\n ")) == VALUES
    assert read(write("b.json", "\n\n" + "\n".join(json.dumps(row) for row in VALUES))) == VALUES
    with pytest.raises(InputError, match=r"entry 3 \(line 4\): not JSON \(Expecting value\)"):
        read(write("c.json", "[" + ",\n".join(map(json.dumps, VALUES)) + ",\n[nil]]"))
    with pytest.raises(InputError, match=r"entry 1 \(line 2\): not JSON \(Unterminated string starting at\)"):
        read(write("d.json", '[{"a": 1},\n{"a": "' + "z" * 60))


def test_of_a_list_of_json_little_more_than_the_present_row_is_held(monkeypatch):
    monkeypatch.setattr(json_rows, "READ_CHARACTERS", 100)
    window = json_rows._Window("", io.StringIO("[" + '{"a": "0123456789"}, ' * 1000 + "1]"))
    held = []
    while window.next() != "1":
        window.advance()  # behind the bracket or the comma
        held.append(len(window._text))
        if window.next() != "1":
            window.value()
    assert len(held) > 1000
    assert max(held) < 250


@pytest.mark.parametrize("spool", [0, 1 << 20])
def test_a_compressed_parquet_file_is_read_in_memory_or_from_a_temporary_file(
    write, read, monkeypatch, spool, tmp_path
):
    monkeypatch.setattr(archives, "SPOOL_BYTES", spool)
    (tmp_path / "results").mkdir()
    assert read(write("a.parquet.gz", gzip.compress(parquet()))) == ROWS
    assert not list((tmp_path / "results").iterdir())


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("name", ["a.jsonl", "A.JSONL"])
def test_compressed_files_are_read(write, read, name, suffix):
    name = name + (suffix.upper() if name[0] == "A" else suffix)
    assert read(write(name, COMPRESSED[suffix])) == ROWS
    assert read(write(name, COMPRESSED[suffix] * 2)) == ROWS * 2


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_compressed_file_that_is_none_is_named(write, read, suffix):
    for content in (LINES, b""):
        with pytest.raises(InputError, match=rf"a\.jsonl\{suffix}: not \w+; rename it or fetch it again"):
            read(write(f"a.jsonl{suffix}", content))


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_compressed_file_that_is_cut_is_named(write, read, suffix):
    with pytest.raises(InputError, match=rf"a\.jsonl\{suffix}: damaged or cut short .*; fetch it again"):
        read(write(f"a.jsonl{suffix}", COMPRESSED[suffix][:-6]))


def test_a_parquet_file_that_is_cut_or_none_is_named(write, read):
    for content in (parquet()[:-20], b"", b"<html>", parquet()[:60]):
        with pytest.raises(InputError, match=r"a\.parquet: not readable as Parquet"):
            read(write("a.parquet", content))
    assert read(write("B.PARQUET", parquet())) == read(write("c.parquet.gz", gzip.compress(parquet()))) == ROWS


def test_a_damaged_member_of_a_zip_file_is_named(write, read):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", LINES * 100)
    content = bytearray(file.getvalue())
    content[60:70] = bytes(10)
    with pytest.raises(InputError, match=r"a\.zip!a\.jsonl: damaged or cut short"):
        read_member(write("a.zip", bytes(content)), "a.jsonl")


def read_member(path, member):
    from f2llm.rows.archives import RawFile
    from f2llm.rows.layout import RowFile, RowLayout
    from f2llm.rows.reader import sound_rows

    return list(sound_rows(RowFile(RawFile(path, name=path.name), member), RowLayout()))


def test_hidden_members_are_no_data(write, read_needed):
    with zipfile.ZipFile(write("a.zip", b""), "w") as archive:
        for name in ("x/a.jsonl", "__MACOSX/x/._a.jsonl", "x/.ipynb_checkpoints/a.jsonl"):
            archive.writestr(name, '{"query": "' + name + '"}')
    from pathlib import Path

    assert [row["query"] for row in read_needed(Path("a.zip"), "query", member="*.jsonl")[0]] == ["x/a.jsonl"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": 1, "b": {"c": 1, "c": 2}}\n', r"line 3: not a JSON object \(the key 'c' is there twice\)"),
        ("a.json", '[{"a": 1},\n {"a": 1, "a": 2}]', r"entry 1 \(line 2\): not JSON \(the key 'a' is there twice\)"),
        ("a.jsonl", "{\n", "line 1: not a JSON object"),
        ("a.jsonl", '{"a": ' + "[" * 100_000, r"line 1: not a JSON object \(nested too deeply\)"),
        ("a.jsonl", "[1, 2]\n", r"line 1: not a JSON object \('\[1, 2\]'\); write {...}, or name its entries in the stanza's option `columns`"),
        ("a.json", "[1]", r"entry 0 \(line 1\): not a JSON object \('1'\); write"),
        ("a.json", '[{"a": 1}\n', "entry 0 .*: neither a comma nor the end of the list comes after it"),
        ("a.json", '[{"a": 1}]\n[{"a": 2}]', "something comes after the end of the list"),
    ],
)  # fmt: skip
def test_faults_of_json_are_named_with_their_line(write, read, name, content, message):
    with pytest.raises(InputError, match=rf"{name}: {message}"):
        read(write(name, content))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_rows_that_are_lists_get_the_names_of_the_option_columns(write, read_needed, name):
    path = write(name, '["q", "p"]\n["r"]\n["s", "t"]\n')
    values, left_out = read_needed(path, "a", "b", columns=["a", "b"])
    assert [tuple(row.values()) for row in values] == [("q", "p"), ("s", "t")]
    assert left_out == [(TOO_SHORT, 1)]
    with pytest.raises(InputError, match=r"line 1: 2 fields for the only column 'a'"):
        read_needed(path, "a", columns=["a"])


def test_of_rows_with_one_text_in_the_distinct_column_the_first_counts_and_the_others_are_counted(write, read_needed):
    rows = [
        '{"id": 1, "a": "x"}',
        '{"id": "1", "a": "y"}',
        '{"id": "", "a": "z"}',
        '{"id": null, "a": "z"}',
        '{"id": "2", "a": "x"}',
    ]
    values, left_out = read_needed(write("a.jsonl", "\n".join(rows)), "a", distinct="id")
    assert [row["a"] for row in values] == ["x", "z", "z", "x"]
    assert left_out == [(NOT_FIRST, 1)]


def test_a_row_that_is_left_out_for_another_reason_is_not_the_first_of_its_text(write, read_needed):
    path = write("a.jsonl", '{"id": "1", "lang": "de"}\n{"id": "1", "lang": "en"}\n')
    values, left_out = read_needed(path, "lang", distinct="id", only={"lang": ["en"]})
    assert (values, left_out) == ([{"id": "1", "lang": "en"}], [(NOT_SELECTED, 1)])


def test_the_distinct_column_must_be_there(write, read_needed):
    with pytest.raises(InputError, match=r"there is no column 'doi'; it has 'id'"):
        read_needed(write("a.jsonl", '{"id": "1"}'), "id", distinct="doi")


def test_a_list_of_lists_gets_the_names_of_the_option_columns(write, read):
    assert read(write("a.json", '[["q", "p"],\n["r", "s"]]'), columns=["a", "b"]) == [
        {"a": "q", "b": "p"},
        {"a": "r", "b": "s"},
    ]


def book(path, **sheets):
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def test_a_workbook_is_read_as_values(read, tmp_path):
    rows = [
        ("text", "label", None),
        ("one", 1, None),
        (None, None, None),
        ("_x000D_ two", "#N/A", None),
        ("=1+1", True, None),
    ]
    path = book(tmp_path / "a.XLSX", First=rows, Empty=[])
    assert read(path) == [
        {"text": "one", "label": 1}, {"text": "\r two", "label": None}, {"text": None, "label": True},
    ]  # fmt: skip


def test_of_several_sheets_one_is_named(read, tmp_path):
    path = book(tmp_path / "a.xlsx", One=[("x",), ("1",)], Two=[("x",), ("2",)])
    with pytest.raises(InputError, match="it has the sheets 'One', 'Two'; name one with the option `sheet`"):
        read(path)
    assert read(path, sheet="Two") == [{"x": "2"}]
    assert read(path, sheet="*") == [{"x": "1"}, {"x": "2"}]
    with pytest.raises(InputError, match="there is no sheet 'Three'; it has 'One', 'Two'"):
        read(path, sheet="Three")


def test_faults_of_a_workbook_are_named(write, read, tmp_path):
    with pytest.raises(InputError, match=r"a\.xlsx: not readable as a workbook"):
        read(write("a.xlsx", b"query,positive\n"))
    with pytest.raises(InputError, match="sheet 'One': the column 'x' is there twice"):
        read(book(tmp_path / "b.xlsx", One=[("x", "x"), (1, 2)]))
    with pytest.raises(InputError, match="sheet 'One': row 3: 3 fields for 2 columns"):
        read(book(tmp_path / "c.xlsx", One=[("x", "y"), (1, 2), (1, 2, 3)]))


def test_a_column_of_parquet_twice_is_an_error(read, tmp_path):
    pq.write_table(pa.table([["a"], ["b"]], names=["x", "x"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: the column 'x' is there twice"):
        read(tmp_path / "a.parquet")


def test_an_unknown_encoding_is_named(write, read):
    with pytest.raises(InputError, match="unknown encoding: utf-99; correct the option"):
        read(write("a.csv", "x\n"), encoding="utf-99")
    with pytest.raises(InputError, match="not valid Unicode; write strict or replace"):
        read(write("a.csv", "x\n"), errors="surrogateescape")


def test_a_workbook_with_macros_is_read_as_data(read, tmp_path):
    path = book(tmp_path / "a.xlsx", One=[("x",), ("1",)])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/vbaProject.bin", b"Sub Auto_Open()")
    assert read(path.rename(tmp_path / "a.xlsm")) == [{"x": "1"}]


@pytest.mark.parametrize(("cells", "refused"), [("A1:B1", True), ("A1:A2", True), ("A2:B2", False), ("C2:C3", False)])
def test_merged_cells_of_the_header_are_refused(read, tmp_path, cells, refused):
    path = book(tmp_path / "a.xlsx", One=[("text", "label", "group"), ("a", "x", "g"), ("b", "y", "h")])
    workbook = openpyxl.load_workbook(path)
    workbook["One"].merge_cells(cells)
    workbook.save(path)
    if not refused:
        assert len(read(path)) == 2
        return
    with pytest.raises(InputError, match=rf"sheet 'One': the cells {cells} of its header are merged; give each"):
        read(path)
    assert len(read(path, columns=["a", "b", "c"])) == 3


def test_files_beside_the_rows_are_passed_over_by_name(write, caplog):
    files = {name: write(name, content) for name, content in {"d/a.jsonl": LINES, "d/README.md": "#", "d/LICENSE": "-"}.items()}  # fmt: skip
    rows = RawRows([RawFile(path, name=name) for name, path in files.items()], RowLayout())
    assert len(list(rows.read("query"))) == len(list(rows.read("query"))) == 2
    assert caplog.messages == ["passed over, as no rows are read of such files: d/README.md, d/LICENSE"]


@pytest.mark.parametrize("name", ["d/a.zip", "d/a.xls", "d/a.sqlite"])
def test_files_that_may_hold_rows_are_not_passed_over(write, name):
    files = [RawFile(write(path, LINES), name=path) for path in ("d/a.jsonl", name)]
    with pytest.raises(InputError, match=rf"{name}: rows of .* cannot be read; use \.jsonl"):
        list(RawRows(files, RowLayout()).read("query"))


def test_a_folder_in_which_nothing_can_be_read_is_an_error(write):
    files = [RawFile(write(name, "#"), name=name) for name in ("d/README.md", "d/LICENSE")]
    with pytest.raises(InputError, match=r"d/README\.md: rows of \.md cannot be read; use \.jsonl"):
        list(RawRows(files, RowLayout()).read("query"))


def test_members_beside_the_rows_of_an_archive_are_passed_over_by_name(tmp_path, caplog):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("train/a.jsonl", LINES)
        archive.writestr("train/notes.pdf", b"%PDF")
    rows = RawRows([RawFile(tmp_path / "a.zip", name="a.zip")], RowLayout(member="train/*"))
    assert [row.file for row in rows.read("query")] == ["a.zip!train/a.jsonl"] * 2
    assert caplog.messages == ["passed over, as no rows are read of such files: a.zip!train/notes.pdf"]
