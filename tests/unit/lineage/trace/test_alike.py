"""Texts that are nearly a given one are found in the index, which is made once and takes bounded memory."""

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.lineage.trace.alike import find_alike, make_index, write_index
from f2llm.lineage.trace.find import PASSAGE, QUERY
from f2llm.records.ids import doc_id
from f2llm.runs.layout import read_layout


def corpus(path, texts):
    pq.write_table(pa.table({"doc_id": [doc_id(text) for text in texts], "text": texts}), path)


def found(layout, text):
    return [(one.traced.kind, one.traced.source, one.text) for one in find_alike(layout, text, most=2)]


def test_a_query_and_a_passage_are_found_by_what_they_nearly_are(results):
    layout = read_layout(results, run="toyrun")
    assert found(layout, "Another answer!")[0] == (PASSAGE, "toy", "Another answer")
    assert found(layout, "What is asked")[0] == (QUERY, "toy", "what is asked?")
    assert found(layout, "nothing of the kind") == []


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("Polyuria", "Polyurxa"),
        ("Central hypothyroidism", "Central hypothyrwidism"),
        ("Fistula, right hand", "Fistula, rifht hand"),
        ("Acquired absence of unspecified limb", "Acquired absence of unsdecified limb"),
        ("one two three four five six seven", "one two three four five six"),
        ("one two three four five", "one two three four"),
        ("東京都庁舎", "東京都府舎"),
    ],
)
def test_one_wrong_letter_or_a_word_less_hides_no_short_text(results, text, asked):
    layout = read_layout(results, run="toyrun")
    corpus(layout.source("toy") / "corpus.parquet", ["A text of other words", text])
    assert found(layout, asked)[0] == (PASSAGE, "toy", text)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("the num\u00adber of in\u00advoices that were paid", "the number of invoices that were paid"),
        ("the number of invoices", "\u200bthe\u200e number of invoices\ufeff"),
    ],
)
def test_characters_that_are_not_displayed_hide_no_text(results, text, asked):
    layout = read_layout(results, run="toyrun")
    corpus(layout.source("toy") / "corpus.parquet", ["A text of other words", text])
    assert [alike.similarity for alike in find_alike(layout, asked, most=1)] == [1]


def test_a_long_chinese_text_is_found_by_a_copy_with_another_beginning(results):
    text = "".join(chr(0x4E00 + at * 7) + "\u3002" * (at % 9 == 8) for at in range(400))
    layout = read_layout(results, run="toyrun")
    others = ["".join(chr(0x4E00 + (at * step) % 3000) for at in range(400)) for step in (11, 13)]
    corpus(layout.source("toy") / "corpus.parquet", [*others, text])
    assert found(layout, "\u6628\u5929\u665a\u4e0a" * 30 + text[:300])[0] == (PASSAGE, "toy", text)


@pytest.mark.parametrize("text", ["", "?!", "x", "\u200b"])
def test_what_has_no_words_is_like_nothing(results, text):
    assert found(read_layout(results, run="toyrun"), text) == []


def test_the_index_is_made_once_and_anew_when_a_table_has_changed(results):
    layout = read_layout(results, run="toyrun")
    index = make_index(layout)
    written = index.stat().st_mtime_ns
    assert make_index(layout).stat().st_mtime_ns == written
    corpus(layout.source("toy") / "corpus.parquet", ["Something new here"])
    assert make_index(layout) != index
    assert [path.name for path in index.parent.iterdir()] == [make_index(layout).name]
    assert found(layout, "Something new there") == [(PASSAGE, "toy", "Something new here")]


def test_rows_of_several_tables_lie_sorted_under_the_number_of_their_table(tmp_path):
    paths = [tmp_path / f"{name}.parquet" for name in "ba"]
    corpus(paths[0], ["the same seven words in both tables"])
    corpus(paths[1], ["these seven are words of its own", "the same seven words in both tables"])
    write_index(tmp_path / "index.parquet", paths)
    rows = pq.read_table(tmp_path / "index.parquet").to_pylist()
    assert [row["hash"] for row in rows] == sorted(row["hash"] for row in rows)
    twice = {row["hash"] for row in rows if row["table"] == 0}
    assert [(row["table"], row["row"]) for row in rows if row["hash"] in twice] == [(0, 0), (1, 1)] * 4
    assert len(rows) == 12


def test_what_does_not_fit_in_memory_goes_to_the_disk_and_nothing_of_it_stays(tmp_path):
    corpus, index = tmp_path / "corpus.parquet", tmp_path / "index.parquet"
    texts = [f"{row % 7} words {row} and {row // 3} more of them" for row in range(100_000)]
    pq.write_table(pa.table({"text": texts}), corpus)
    write_index(index, [corpus], memory_mb=12)
    assert pq.read_metadata(index).num_rows == 400_000
    assert sorted(tmp_path.iterdir()) == [corpus, index]
    (tmp_path / "index.spilled").write_text("no folder")
    with pytest.raises(duckdb.Error):
        write_index(index, [corpus], memory_mb=12)
