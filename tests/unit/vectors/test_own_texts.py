import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.vectors import own_texts
from f2llm.vectors.own_texts import TextIndex, hit_lines, read_texts


def texts(path, **options):
    return [tuple(one) for one in read_texts(path, **options)]


def test_plain_files_are_read_by_paragraph_and_other_kinds_passed_over(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.md").write_text("\ufeffOne.\nStill one.\r\n\r\n\n\nTwo.\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Three.")
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    assert texts(tmp_path) == [("b.txt", 1, "Three."), ("sub/a.md", 1, "One.\nStill one."), ("sub/a.md", 3, "Two.")]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv", "parquet", "JSONL", "ndjson", "tab", "json"])
def test_tables_are_read_by_row(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"body": ["one", None, "two"]}), path)
    elif suffix == "json":
        path.write_text(json.dumps([{"body": text} for text in ("one", "", "two")]))
    elif "j" in suffix.lower():
        path.write_text("".join(json.dumps({"body": text}) + "\n" for text in ("one", "", "two")))
    else:
        path.write_text(
            'note,body\n0,one\n1,""\n2,two\n'.replace(",", "\t" if suffix[0] == "t" else ",").replace('""', "")
        )
    assert texts(path, column="body") == [(path.name, 1, "one"), (path.name, 3, "two")]
    with pytest.raises(InputError, match="no column 'text'"):
        list(read_texts(path))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"\xff\xfe\x00", r"a\.txt: not utf-8-sig .*; give the option `encoding`, or convert the file"),
        ("a.jsonl", b"{not json}\n", "line 1: not a JSON object"),
        ("a.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("a.jsonl", b"{}\n", "no column"),
        ("a.parquet", b"PAR1", "not readable as Parquet"),
        ("a.csv", b"text\nhello, world\n", "2 fields for the only column 'text'"),
        ("a.jsonl.gz", b"{}", "not gzip; rename it"),
        ("a.txt", b" \n\n ", "no texts in there"),
        ("a.pdf", b"%PDF", "no texts in there"),
    ],
)
def test_files_that_cannot_be_used_are_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        list(read_texts(tmp_path / name))


def test_missing_values_and_rows_at_fault_are_no_texts(tmp_path, caplog):
    values = [None, float("nan"), "x \ud800", 7.0, "y"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": value}) + "\n" for value in values))
    assert [text for *_, text in texts(tmp_path / "a.jsonl")] == ["7", "y"]
    assert "a.jsonl: 1 rows are left out: text is not valid Unicode" in caplog.text


def test_hidden_files_are_passed_over_and_linked_folders_followed(tmp_path, caplog):
    for name in (".ipynb_checkpoints", "real"):
        (tmp_path / "notes" / name).mkdir(parents=True)
        (tmp_path / "notes" / name / "a.txt").write_text(name)
    (tmp_path / "notes/part").symlink_to("real")
    assert [name for name, *_ in texts(tmp_path / "notes")] == ["part/a.txt", "real/a.txt"]
    assert "hidden, so passed over" in caplog.text
    (tmp_path / "notes/up").symlink_to("..")
    with pytest.raises(InputError, match="notes/up: is a link back to"):
        texts(tmp_path / "notes")


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        list(read_texts(tmp_path / "absent"))


class Letters:
    """Stands for a model: a vector is the share of each letter."""

    prompts = {"query": "", "toy": ""}
    encoded = 0

    def encode(self, given, **options):
        Letters.encoded += len(given)
        counts = np.array([[text.lower().count(chr(97 + at)) for at in range(26)] for text in given], np.float32)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(own_texts, "_load", lambda model: Letters())
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "texts.txt").write_text("zebra zoo\n\nbanana\n\nmississippi")
    return tmp_path


def test_the_best_texts_come_first_with_their_places(folder):
    index = TextIndex(folder / "model", folder / "texts.txt")
    hits = index.ask("bananas", most=2, prompt="query")
    assert [hit.match.text for hit in hits][0] == "banana"
    assert len(hits) == 2
    assert hit_lines(hits)[0].endswith("texts.txt:2  banana")
    assert len(index.ask("x", most=99, prompt="toy")) == 3


def test_texts_and_vectors_are_held_a_chunk_at_a_time(folder, monkeypatch):
    whole = TextIndex(folder / "model", folder / "texts.txt").ask("zoo", most=3, prompt="query")
    monkeypatch.setattr(own_texts, "CHUNK", 2)
    monkeypatch.setattr(own_texts, "SEARCHED", 1)
    given = []
    encode = Letters.encode
    monkeypatch.setattr(Letters, "encode", lambda self, texts, **options: given.append(texts) or encode(self, texts))
    index = TextIndex(folder / "model", folder / "texts.txt", folder=folder / "index")
    assert [len(texts) for texts in given] == [2, 1]
    assert index.ask("zoo", most=3, prompt="query") == whole
    assert pq.ParquetFile(folder / "index/texts.parquet").num_row_groups == 2
    assert (folder / "index/vectors.f32").stat().st_size == 3 * 26 * 4


def test_an_index_of_another_version_is_made_anew(folder):
    (folder / "index").mkdir()
    (folder / "index/about.json").write_text('{"model": "m", "texts": "t"}')
    assert TextIndex(folder / "model", folder / "texts.txt", folder=folder / "index").rebuilt


def test_a_kept_index_is_used_until_texts_or_model_change(folder):
    def made():
        return TextIndex(folder / "model", folder / "texts.txt", folder=folder / "index").rebuilt

    assert (made(), made()) == (True, False)
    (folder / "texts.txt").write_text("other words")
    assert (made(), made()) == (True, False)
    (folder / "model/config.json").write_text('{"a": 1}')
    assert (made(), made()) == (True, False)


def test_an_empty_query_and_an_unknown_prompt_are_refused(folder):
    index = TextIndex(folder / "model", folder / "texts.txt")
    with pytest.raises(InputError, match="it is empty"):
        index.ask("  ", most=1, prompt="query")
    with pytest.raises(InputError, match="it has: query, toy"):
        index.ask("a", most=1, prompt="news")


def test_a_folder_without_a_model_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="holds no model"):
        TextIndex(tmp_path, tmp_path / "a.txt")
