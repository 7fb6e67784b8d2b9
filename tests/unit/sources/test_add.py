"""A stanza from a look at data: guessed columns, files of a repository, what is written and what is refused."""

import contextlib
import io
import json
import sqlite3

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.sources import Source
from f2llm.config.stanzas import read_stanza
from f2llm.records.errors import InputError
from f2llm.sources.add.files import train_files
from f2llm.sources.add.guess import guess
from f2llm.sources.add.write import add_source, as_lines
from f2llm.sources.check import check_source

FAQ = [{"question": f"How {number}?", "answer": f"So {number}.", "negatives": ["No."]} for number in range(30)]


def rows_of(**columns):
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


TEN = [str(number) for number in range(10)]
WORDS = [f"some words {number}" for number in TEN]
OTHERS = [f"other words, and more of them {number}" for number in TEN]


@pytest.mark.parametrize(
    ("rows", "task", "adapter", "options"),
    [
        (rows_of(id=TEN, anchor=WORDS, positive=OTHERS), "retrieval", "pairs", {"query": "anchor", "positive": "positive"}),
        (rows_of(Query=WORDS, passages=[[word] for word in OTHERS], hard_negative_1=WORDS, hard_negative_2=WORDS), "retrieval", "pairs", {"query": "Query", "positive": "passages", "negatives": ["hard_negative_1", "hard_negative_2"]}),
        (rows_of(question=WORDS, context=OTHERS, answers=[{"text": ["a"]}] * 10), "retrieval", "pairs", {"query": "question", "positive": "context"}),
        (rows_of(question=WORDS, answers=[{"text": [word]} for word in OTHERS]), "retrieval", "pairs", {"query": "question", "positive": "answers.text"}),
        (rows_of(query=WORDS, positive_passages=[[{"title": "t", "text": word}] for word in OTHERS]), "retrieval", "nested_passages", {"query": "query", "positives": "positive_passages"}),
        (rows_of(query=WORDS, positive_passages=[[{"title": "t", "text": word}] for word in OTHERS], negative_passages=[[{"title": "t", "text": word}] for word in WORDS]), "retrieval", "nested_passages", {"query": "query", "positives": "positive_passages", "passages": "negative_passages"}),
        (rows_of(premise=WORDS, hypothesis=OTHERS, label=[0, 1] * 5), "retrieval", "nli", {"premise": "premise", "hypothesis": "hypothesis", "label": "label"}),
        (rows_of(sentence1=WORDS, sentence2=OTHERS, score=[number / 2 for number in range(10)]), "sts", "graded_pairs", {"text": "sentence1", "other": "sentence2", "grade": "score"}),
        (rows_of(question1=WORDS, question2=OTHERS, is_duplicate=[0, 1] * 5), "retrieval", "duplicates", {"text": "question1", "other": "question2", "label": "is_duplicate", "same": ["1"]}),
        (rows_of(text1=WORDS, text2=OTHERS), "retrieval", "duplicates", {"text": "text1", "other": "text2"}),
        (rows_of(text=WORDS, label=[0, 1] * 5, label_text=["no", "yes"] * 5), "classification", "labelled", {"text": "text", "label": "label_text"}),
        (rows_of(text=WORDS * 3, topic=[f"t{number}" for number in range(11)] * 2 + TEN[:8]), "retrieval", "pairs", {"query": "topic", "positive": "text"}),
        (rows_of(text=WORDS * 3, topic=[f"t{number % 11}" for number in range(30)]), "clustering", "labelled", {"text": "text", "label": "topic"}),
        (rows_of(title=WORDS, abstract=OTHERS), "retrieval", "pairs", {"query": "title", "positive": "abstract"}),
        (rows_of(left=OTHERS, right=WORDS), "retrieval", "pairs", {"query": "right", "positive": "left"}),
        (rows_of(query=WORDS, answer=OTHERS, doc_id=[1, 2] * 5), "retrieval", "pairs", {"query": "query", "positive": "answer", "group": "doc_id"}),
        (rows_of(query=WORDS, answer=OTHERS, doc_id=TEN), "retrieval", "pairs", {"query": "query", "positive": "answer"}),
    ],
)  # fmt: skip
def test_columns_are_recognised_by_their_names_and_cells(rows, task, adapter, options):
    guessed = guess(rows)
    assert (guessed.task, guessed.adapter, guessed.options) == (task, adapter, options)
    assert guessed.why["task"]


def test_rows_of_one_text_are_refused_with_their_columns():
    with pytest.raises(InputError, match=r"the columns are 'id' \(number\), 'text' \(text\): neither two texts nor"):
        guess(rows_of(id=TEN, text=WORDS))


@pytest.mark.parametrize(
    ("names", "pattern", "count"),
    [
        (["README.md", ".gitattributes", "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "data/test-00000-of-00001.parquet"], "data/train-*.parquet", 2),
        (["data/train-00000-of-00001-0f9a8b7c.parquet"], "data/train-*.parquet", 1),
        (["train.csv", "train.jsonl.gz", "test.jsonl.gz"], "train.jsonl.gz", 1),
        (["de/train.jsonl", "default/train.jsonl"], "default/train.jsonl", 1),
        (["default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"], "default/train/*.parquet", 2),
        (["dev.jsonl", "rows.csv", "dataset_infos.json"], "rows.csv", 1),
        (["test.jsonl"], "test.jsonl", 1),
        (["script.py", "README.md"], "", 0),
    ],
)  # fmt: skip
def test_the_training_files_of_a_repository_are_chosen(names, pattern, count):
    chosen = train_files(names)
    assert (chosen.pattern, len(chosen.names)) == (pattern, count)


def write_jsonl(path):
    path.write_text("".join(json.dumps(row) + "\n" for row in FAQ))


def write_csv(path):
    lines = "".join(f"{row['question']};Well, yes, {row['answer']}\n" for row in FAQ)
    path.write_text(f"\ufeffquestion;answer\n{lines}")


def write_tsv(path):
    path.write_text("question\tanswer\n" + "".join(f"{row['question']}\t{row['answer']}\n" for row in FAQ))


def write_json(path):
    path.write_text(json.dumps(FAQ, indent=1))


def write_lists(path):
    path.write_text("".join(json.dumps([row["question"], row["answer"] + " Yes."]) + "\n" for row in FAQ))


def write_parquet(path):
    pq.write_table(pa.Table.from_pylist(FAQ), path)


def write_workbook(path):
    workbook = openpyxl.Workbook()
    for sheet in (workbook.active, workbook.create_sheet("More")):
        sheet.append(["question", "answer"])
        for row in FAQ:
            sheet.append([row["question"], row["answer"]])
    workbook.save(path)


def write_sqlite(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE few (x TEXT)")
        database.execute('CREATE TABLE "all questions" (question TEXT, answer TEXT)')
        database.executemany('INSERT INTO "all questions" VALUES (:question, :answer)', [{key: row[key] for key in ("question", "answer")} for row in FAQ])  # fmt: skip
        database.commit()


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("faq.jsonl", write_jsonl), ("faq.csv", write_csv), ("faq.tsv", write_tsv), ("faq.json", write_json),
        ("faq.ndjson", write_lists), ("faq.parquet", write_parquet), ("faq.xlsx", write_workbook), ("faq.db", write_sqlite),
    ],
)  # fmt: skip
def test_a_file_becomes_a_stanza_that_check_source_takes(tmp_path, name, write):
    write(tmp_path / name)
    added = add_source(name)
    assert str(added.path) == "config/sources/faq.yaml"
    checked = check_source("faq")
    assert checked.counts["queries"] == added.checked.counts["queries"] == 30
    assert len(added.checked.examples) == 10
    assert checked.examples == added.checked.examples
    lines = as_lines(added).splitlines()
    assert lines[0] == "config/sources/faq.yaml: written"
    assert lines[-1] == "read and correct config/sources/faq.yaml, then: f2llm check-source faq"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "config", "results"])
    assert not list((tmp_path / "results").rglob(".add-*"))


def test_of_a_large_table_some_rows_are_looked_at_and_the_stanza_reads_all(tmp_path, monkeypatch):
    write_sqlite(tmp_path / "faq.db")
    monkeypatch.setattr("f2llm.sources.add.write.RECORDS", 29)
    added = add_source("faq.db")
    assert not added.checked.complete
    assert added.checked.files == []
    assert "LIMIT" not in added.path.read_text()
    assert check_source("faq").counts["queries"] == 30


def test_every_guess_is_a_comment_of_the_stanza(tmp_path):
    write_jsonl(tmp_path / "faq.jsonl")
    add_source("faq.jsonl")
    assert (
        (tmp_path / "config/sources/faq.yaml").read_text()
        == """\
# Written by f2llm add-source after a look at the data. Read it, correct it, then: f2llm check-source faq
name: faq
# Guessed: 'question' and 'answer' look like a question and its passage.
task: retrieval
fetch:
- kind: local
  path: faq.jsonl
adapter: pairs
options:
  query: question
  positive: answer
  # Guessed: by their names.
  negatives:
  - negatives
# A guess: say in one sentence what the model is to do.
instruction: Given a query, retrieve passages that answer it.
# Not known: say yes or no once you know what its licence allows.
licence:
  id: LicenseRef-Unknown
  commercial: unknown
  note: Nothing states it.
reference: faq.jsonl
# Guessed: rows of one group never straddle train, dev and test.
group: positive
"""
    )


def test_a_stanza_that_is_there_is_not_overwritten(tmp_path):
    write_jsonl(tmp_path / "faq.jsonl")
    (tmp_path / "config/sources").mkdir(parents=True)
    (tmp_path / "config/sources/faq.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"config/sources/faq\.yaml: is there already; give another name with --name"):
        add_source("faq.jsonl")
    assert (tmp_path / "config/sources/faq.yaml").read_text() == "mine"
    assert add_source("faq.jsonl", name="faq_2").path.name == "faq_2.yaml"


def test_names_that_yaml_could_misread_stay_names(tmp_path):
    rows = rows_of(**{"yes": WORDS, "a: b\u2028# c": [f"{text} x" for text in OTHERS]})
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source, faults = read_stanza(Source, add_source("odd.jsonl").path)
    assert faults == []
    assert source.options == {"query": "yes", "positive": "a: b\u2028# c"}


def test_a_header_that_reads_like_data_is_remarked_on(tmp_path):
    (tmp_path / "five.csv").write_text("How do I reset it?,Press it.\n" * 3)
    (tmp_path / "four.csv").write_text("How the question reads,answer\n" + "How do I reset it?,Press it.\n" * 3)
    assert add_source("five.csv").remarks == [
        "The first row of five.csv reads like data; if the file has no header, name all columns in `columns`."
    ]
    assert add_source("four.csv").remarks == []


@pytest.mark.parametrize("beside", ["README.md", "README.txt", "LICENSE-2.0.txt"])
def test_a_folder_is_read_without_what_lies_beside_its_rows(tmp_path, caplog, beside):
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data/a.jsonl")
    (tmp_path / "data" / beside).write_text("# FAQ")
    added = add_source("data", name="faq")
    assert added.remarks == []
    assert added.checked.counts["queries"] == 30
    assert f"passed over, as no rows are read of such files: data/{beside}" in caplog.text


BEIR = {
    "corpus.jsonl": '{"_id": "1", "title": "t", "text": "passage"}\n', "queries.jsonl": '{"_id": "q1", "text": "query"}\n',
    "qrels/train.tsv": "query-id\tcorpus-id\tscore\nq1\t1\t1\n", "qrels/test.tsv": "query-id\tcorpus-id\tscore\n",
}  # fmt: skip


def test_a_benchmark_in_the_layout_of_beir_is_recognised(tmp_path, server):
    for name, content in BEIR.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text(content)
    added = add_source("mine")
    assert added.checked.source.options == {"qrels": "*qrels*train*"}
    assert added.checked.counts == {"passages": 1, "queries": 1}
    server.add("datasets/some/bench", {name: content.encode() for name, content in BEIR.items()})
    with pytest.raises(InputError, match="some/bench: files of a corpus, of queries and of judgements"):
        add_source("some/bench")


def test_of_a_folder_with_a_held_out_part_that_part_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data/train.jsonl")
    write_jsonl(tmp_path / "data/test.jsonl")
    assert add_source("data").remarks == [
        "All files are read, data/test.jsonl too; name the file of train to leave them out."
    ]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("../faq.jsonl", "lies outside .*; copy or mount it below the working directory"),
        ("/etc/hostname", "lies outside"),
        ("data/gone.jsonl", "there is no such file or folder"),
        ("notes.pdf", r"no rows are read of notes\.pdf; take files of \.jsonl"),
        ("empty.csv", "it holds no rows"),
        ("merged.xlsx", "the cells A1:B1 of its header are merged"),
        ("___.jsonl", "no name for a source; give one"),
    ],
)
def test_what_cannot_become_a_stanza_is_refused_and_nothing_is_written(tmp_path, place, message):
    for name in ("notes.pdf", "empty.csv", "___.jsonl"):
        (tmp_path / name).write_text("")
    write_workbook(tmp_path / "merged.xlsx")
    workbook = openpyxl.load_workbook(tmp_path / "merged.xlsx")
    del workbook["More"]
    workbook.active.merge_cells("A1:B1")
    workbook.save(tmp_path / "merged.xlsx")
    with pytest.raises(InputError, match=message):
        add_source(place)
    assert not (tmp_path / "config").exists()


def parquet_bytes():
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(FAQ), file)
    return file.getvalue()


def test_a_repository_of_the_hub_is_pinned_and_its_first_rows_are_shown(server):
    files = {"data/train-00000-of-00002.parquet": parquet_bytes(), "data/train-00001-of-00002.parquet": parquet_bytes(), "data/test-00000-of-00001.parquet": b"never read", "README.md": b"-"}  # fmt: skip
    commit = server.add("datasets/some/faq-pairs", files)
    added = add_source("some/faq-pairs")
    source, faults = read_stanza(Source, added.path)
    assert faults == []
    [place] = source.fetch
    assert (place.repository, place.revision, place.files) == ("some/faq-pairs", commit, ("data/train-*.parquet",))
    assert source.options["query"] == "question"
    assert source.licence.id == "LicenseRef-Not-Stated"
    assert len(added.checked.examples) == 10
    assert "2 files like data/train-*.parquet" in as_lines(added)
    assert not server.requests("test-00000")
    assert check_source("faq_pairs").counts["queries"] == 60


@pytest.mark.parametrize(
    ("card", "licence", "commercial"),
    [
        ("apache-2.0", "Apache-2.0", "yes"), ("cc-by-nc-4.0", "CC-BY-NC-4.0", "no"), ("gpl-3.0", "GPL-3.0", "unknown"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0", "unknown"), ("other", "LicenseRef-other", "unknown"), (["mit", "odbl"], "LicenseRef-mit-odbl", "unknown"),
    ],
)  # fmt: skip
def test_the_licence_is_that_of_the_card(server, card, licence, commercial):
    server.add("datasets/some/faq", {"train.jsonl": "".join(json.dumps(row) + "\n" for row in FAQ).encode()})
    server.about["datasets/some/faq"] = {"cardData": {"license": card}}
    source, _ = read_stanza(Source, add_source("some/faq").path)
    assert (source.licence.id, source.licence.commercial) == (licence, commercial)
    assert source.licence.note.startswith("The card says ")


def test_of_a_large_file_of_the_hub_the_beginning_is_read(server):
    rows = "".join(json.dumps({"query": f"q {number}", "answer": "long " * 40}) + "\n" for number in range(3000))
    server.add("datasets/some/large", {"train.jsonl": rows.encode()})
    added = add_source("some/large")
    assert "of the first " in as_lines(added)
    assert 100 < added.checked.records < 3000
    assert server.requests("GET .*resolve.*bytes=")
    assert not [line for line in server.requests("GET .*resolve") if "bytes=" not in line]


def test_a_repository_without_rows_or_that_is_not_there_is_named(server, tmp_path):
    server.add("datasets/some/script", {"script.py": b"import os", "README.md": b"-"})
    with pytest.raises(InputError, match=r"some/script: no files of rows in it \(README\.md, script\.py\); take"):
        add_source("some/script")
    with pytest.raises(InputError, match="some/none: HTTP 404: there is no such repository"):
        add_source("some/none")
    assert not (tmp_path / "config").exists()
