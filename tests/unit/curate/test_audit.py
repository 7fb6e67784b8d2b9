import bz2
import gzip
import json
import lzma
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.curate.audit import audit_folder
from f2llm.records.errors import InputError
from f2llm.records.files import read_json
from f2llm.records.tables import read_table
from f2llm.rows.files import local_files

NINE = "which old keeper lit the red lamp every evening"
AROUND = "as was written long ago {} and so it went on until the very end"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "inner").mkdir(parents=True)
    return tmp_path / "data"


@pytest.fixture
def audit(folder, index):
    def run(*fields, path="data", on_unreadable="fail"):
        counts = audit_folder(
            path,
            fields=fields,
            on_unreadable=on_unreadable,
            evaluation=index(NINE, "lion", min_words=2),
            hits="out/hits.parquet",
            summary="out/summary.json",
        )
        return read_table("out/hits.parquet").to_pylist(), read_json("out/summary.json"), counts

    return run


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_rows_of_all_kinds_of_files_are_matched_and_named(audit, folder):
    lines(
        folder / "a.jsonl",
        {"query": "clean", "positive": "x"},
        {"query": NINE.upper(), "negatives": ["y", AROUND.format(NINE)]},
    )
    with gzip.open(folder / "inner" / "b.jsonl.gz", "wt") as file:
        file.write("\n" + json.dumps({"doc": {"title": "lion", "body": NINE}, "n": 3, "none": None}) + "\n")
    pq.write_table(pa.table({"text": ["clean", f"<b>{NINE}</b>"], "n": [1, 2]}), folder / "c.parquet")
    (folder / "readme.txt").write_text(NINE)

    hits, summary, counts = audit()

    places = [(row["file"], row["row"], row["field"], row["rule"], row["counts"]) for row in hits]
    assert places == [
        ("a.jsonl", 1, "query", "equal", True), ("a.jsonl", 1, "negatives", "5-grams", True),
        ("c.parquet", 1, "text", "equal", True), ("inner/b.jsonl.gz", 0, "doc.title", "equal", False),
        ("inner/b.jsonl.gz", 0, "doc.body", "equal", True), ("readme.txt", 0, "text", "equal", True),
    ]  # fmt: skip
    assert (hits[1]["text"], hits[1]["test_text"], hits[1]["test_id"]) == (AROUND.format(NINE), NINE, "0")
    assert summary["tasks"] == {"Toy": {"texts": 5, "rows": 4, "evaluation_texts": 1}}
    assert (counts["files"], counts["texts"], counts["rows_hit"], counts["hits_too_short_to_count"]) == (4, 10, 4, 1)


def test_a_folder_without_hits_counts_none(audit, folder):
    lines(folder / "a.jsonl", {"query": "clean"})
    hits, summary, _ = audit()
    assert (hits, summary["hits"], summary["hits_too_short_to_count"], summary["rows_hit"]) == ([], 0, 0, 0)


def test_fields_can_be_chosen(audit, folder):
    lines(folder / "a.jsonl", {"query": NINE, "doc": {"body": NINE}})
    assert [row["field"] for row in audit("doc.body")[0]] == ["doc.body"]


def test_a_field_that_no_row_has_is_an_error_that_names_those_there_are(audit, folder):
    lines(folder / "a.jsonl", {"query": NINE, "doc": {"body": NINE}})
    with pytest.raises(
        InputError, match="no row has text in the field 'text'; name some of those that have: doc.body, query"
    ):
        audit("text")
    assert not (folder.parent / "out" / "summary.json").exists()


@pytest.mark.parametrize("line", ["{", "[1]", '"text"'])
def test_a_line_that_is_no_object_is_named(audit, folder, line):
    (folder / "a.jsonl").write_text(f'{{"query": "x"}}\n\n{line}\n')
    with pytest.raises(InputError, match="a.jsonl: line 3: not a JSON object"):
        audit()


def test_a_file_that_is_no_table_is_named(audit, folder):
    (folder / "a.parquet").write_text("no table")
    with pytest.raises(InputError, match="a.parquet: not readable as Parquet"):
        audit()


@pytest.mark.parametrize(
    ("path", "fault"),
    [("data", "no file below"), ("nowhere", "no file below"), ("../data", "lies outside"), ("/tmp", "lies outside")],
)
def test_a_folder_without_files_or_outside_is_refused(audit, folder, path, fault):
    with pytest.raises(InputError, match=f"^{path}: .*{fault}"):
        audit(path=path)


def test_a_link_out_of_the_working_directory_is_not_followed(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    lines(outside / "a.jsonl", {"query": "x"})
    (folder.parent / "link").symlink_to(outside)
    assert local_files("link") == []


QUESTION = json.dumps({"query": NINE})
LEAKED = {
    "b.csv": f'id,query\n1,"{NINE}"\n',
    "c.json": f"[{QUESTION}]",
    "d.txt": f"{NINE}\n",
    "e.ndjson": QUESTION,
    "f.jsonl.bz2": bz2.compress(QUESTION.encode()),
    "G.JSONL": QUESTION,
    "h.tab": f"query\n{NINE}\n",
    "i.jsonl.xz": lzma.compress(QUESTION.encode()),
}


def test_what_sources_read_is_audited(audit, folder):
    for name, content in LEAKED.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with zipfile.ZipFile(folder / "j.zip", "w") as archive:
        archive.writestr("deep/a.jsonl", QUESTION)
        archive.writestr("__MACOSX/._a.jsonl", "junk")
    hits, summary, counts = audit()
    assert {hit["file"] for hit in hits} == {*LEAKED, "j.zip!deep/a.jsonl"}
    assert (counts["files"], counts["files_not_read"], summary["not_read"]) == (9, 0, [])


def test_files_that_cannot_be_read_fail_the_audit_all_at_once(audit, folder):
    lines(folder / "a.jsonl", {"query": NINE})
    (folder / "b.pdf").write_text("%PDF")
    (folder / "c.jsonl.gz").write_text("plain")
    (folder / "d.csv").write_text("query,positive\nq,one, two\n")
    (folder / "e.zip").write_text("no archive")
    (folder / "far").symlink_to("/etc")
    with pytest.raises(InputError) as found:
        audit()
    assert [fault.split(":")[0] for fault in found.value.faults] == [
        "data/far", "b.pdf", "c.jsonl.gz", "d.csv", "e.zip", "audit",
    ]  # fmt: skip
    assert not (folder.parent / "out" / "hits.parquet").exists()
    hits, summary, counts = audit(on_unreadable="skip")
    assert [hit["file"] for hit in hits] == ["a.jsonl"]
    assert (counts["files"], counts["files_not_read"]) == (1, 5)
    assert summary["not_read"] == list(found.value.faults[:-1])


def test_linked_folders_are_audited_and_hidden_ones_named(audit, folder, caplog):
    for name in ("real", "data/.ipynb_checkpoints"):
        (folder.parent / name).mkdir()
        lines(folder.parent / name / "a.jsonl", {"query": NINE})
    (folder / "part").symlink_to("../real")
    assert [hit["file"] for hit in audit()[0]] == ["part/a.jsonl"]
    assert "hidden, so passed over: data/.ipynb_checkpoints" in caplog.text


def test_rows_at_fault_are_audited_and_columns_of_bytes_are_named(audit, folder):
    (folder / "a.csv").write_text(f"query,positive\n{NINE}\n")
    (folder / "b.jsonl").write_text('{"query": "' + NINE + ' \\ud800"}')
    pq.write_table(pa.table({"query": ["x"], "image": [b"\xff"]}), folder / "c.parquet")
    hits, summary, _ = audit()
    assert [hit["file"] for hit in hits] == ["a.csv", "b.jsonl"]
    assert summary["columns_of_bytes"] == ["image"]
