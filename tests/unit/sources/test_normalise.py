import json

import pytest

from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.records.ids import doc_id, query_id, split_of
from f2llm.records.tables import read_metadata
from f2llm.records.text_keys import content_key
from f2llm.sources import normalise, staging
from f2llm.sources.records import Passage, Query


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def pair(query, positive, **more):
    return {"query": query, "positive": positive, **more}


def accounted(counts):
    for role in ("queries", "passages"):
        parts = counts[f"{role}_kept"] + counts[f"{role}_collapsed"] + sum(counts[f"{role}_skipped"].values())
        assert counts[f"{role}_read"] == parts


def test_pairs_become_corpus_queries_and_origins(normalised):
    counts, tables = normalised({"a.jsonl": lines(pair("q", "p"))}, task="retrieval", adapter="pairs")
    assert tables["corpus"] == [{"doc_id": doc_id("p"), "text": "p", "content_key": content_key("p")}]
    assert tables["queries"] == [
        {
            "query_id": query_id("retrieval", "q"), "text": "q", "positives": [doc_id("p")], "negatives": [],
            "label": None, "grade": None, "group": "p", "split": split_of("p"),
        }
    ]  # fmt: skip
    accounted(counts)


def test_every_text_is_found_again_where_its_origin_says(normalised):
    rows = [pair(f"q{number % 5}", f"p{number}") for number in range(12)]
    _, tables = normalised({"a.jsonl": lines(*rows)}, task="retrieval", adapter="pairs")
    assert len(tables["origins"]) == 24
    for origin in tables["origins"]:
        text = rows[origin["row"]][origin["field"]]
        assert origin["file"] == "a.jsonl"
        assert origin["id"] == (query_id("retrieval", text) if origin["role"] == "query" else doc_id(text))
    assert tables["origins"] == sorted(tables["origins"], key=lambda row: (row["file"], row["row"], row["field"]))


def test_equal_texts_collapse_and_their_positives_are_merged(normalised):
    rows = [pair("q", "p2", negatives=["n2", "p1"]), pair("q", "p1", negatives="n1"), pair("other", "p1")]
    counts, tables = normalised({"a.jsonl": lines(*rows)}, task="retrieval", adapter="pairs")
    [query] = [row for row in tables["queries"] if row["text"] == "q"]
    assert query["positives"] == sorted([doc_id("p1"), doc_id("p2")])
    assert query["negatives"] == [doc_id("n2"), doc_id("n1")]
    assert query["group"] == "p1"
    assert (counts["queries_collapsed"], counts["passages_collapsed"]) == (1, 2)
    accounted(counts)


def test_texts_that_differ_in_unicode_form_only_are_equal(normalised):
    rows = [pair("cafe\u0301", "the\u0301"), pair("caf\u00e9", "th\u00e9")]
    _, tables = normalised({"a.jsonl": lines(*rows)}, task="retrieval", adapter="pairs")
    assert [row["text"] for row in tables["queries"]] == ["caf\u00e9"]
    assert [row["text"] for row in tables["corpus"]] == ["th\u00e9"]


def test_bad_rows_are_left_out_and_counted(normalised):
    rows = [pair("q", "p"), pair("q2", ""), pair(None, "p"), {"positive": "p"}, pair("\ud800", "p")]
    rows += [pair("x" * 1_000_000, "p"), pair("x" * 1_000_001, "p"), pair("a\0b", "p")]
    counts, _ = normalised({"a.jsonl": lines(*rows)}, task="retrieval", adapter="pairs")
    assert counts["queries_skipped"] == {
        "'positive' is empty": 1,
        "'query' is empty": 2,
        "text is not valid Unicode": 1,
        "text has over 1,000,000 characters": 1,
        "text holds a NUL": 1,
    }
    assert counts["queries_kept"] == 2
    accounted(counts)


def test_a_missing_column_is_an_error_that_names_file_and_column(normalised):
    with pytest.raises(InputError, match=r"a\.csv: there is no column 'positive'; it has 'query', 'answer'"):
        normalised({"a.csv": "query,answer\nq,p\n"}, task="retrieval", adapter="pairs")


def test_a_label_is_the_positive_of_its_texts_and_the_others_are_negatives(normalised):
    rows = [{"text": f"t{number}", "label": label} for number, label in enumerate("abca")]
    counts, tables = normalised({"a.jsonl": lines(*rows)}, task="classification", adapter="labelled")
    assert {row["text"] for row in tables["corpus"]} == {"a", "b", "c"}
    [query] = [row for row in tables["queries"] if row["text"] == "t1"]
    assert (query["positives"], query["negatives"]) == ([doc_id("b")], [doc_id("a"), doc_id("c")])
    assert query["label"] == "b"
    accounted(counts)


def test_the_corpus_of_a_clustering_source_are_its_texts(normalised):
    rows = [{"text": f"t{number}", "label": "ab"[number % 2]} for number in range(4)]
    counts, tables = normalised({"a.jsonl": lines(*rows)}, task="clustering", adapter="labelled")
    assert {row["text"] for row in tables["corpus"]} == {row["text"] for row in tables["queries"]}
    assert [row["positives"] + row["negatives"] for row in tables["queries"]] == [[]] * 4
    accounted(counts)


def test_a_text_under_two_labels_is_left_out_everywhere(normalised):
    rows = [("both", "x"), ("both", "y"), ("one", "x"), ("one", "x"), ("two", "y")]
    content = lines(*({"text": text, "label": label} for text, label in rows))
    counts, tables = normalised({"a.jsonl": content}, task="clustering", adapter="labelled")
    assert {row["text"] for row in tables["corpus"]} == {"one", "two"}
    assert len(tables["origins"]) == 6
    assert counts["queries_skipped"] == {normalise.SEVERAL_LABELS: 2}
    assert counts["queries_collapsed"] == 1
    accounted(counts)


def test_each_graded_pair_keeps_its_grade(normalised):
    content = "text,other,grade\na,b,1\na,c,2.5\na,b,3\na,d,much\n"
    counts, tables = normalised({"a.csv": content}, task="sts", adapter="graded_pairs")
    grades = {row["positives"][0]: row["grade"] for row in tables["queries"]}
    assert grades == {doc_id("b"): 2.0, doc_id("c"): 2.5}
    assert {row["query_id"] for row in tables["queries"]} == {query_id("sts", f"a\x1f{other}") for other in "bc"}
    assert counts["queries_skipped"] == {"'grade' is not a number": 1}
    accounted(counts)


def test_tables_are_the_same_whatever_the_batches_and_the_memory(normalised, tmp_path, monkeypatch):
    content = lines(*(pair(f"q{number % 70}", f"p{number % 90}") for number in range(300)))

    def hashes():
        normalised({"a.jsonl": content}, task="retrieval", adapter="pairs")
        return [sha256_file(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]

    once = hashes()
    monkeypatch.setattr(staging, "BATCH_ROWS", 7)
    monkeypatch.setattr(normalise, "BATCH_ROWS", 3)
    assert hashes() == once
    assert len(once) == 3
    assert not list((tmp_path / "out").glob(".*"))


def test_a_text_that_shows_nothing_is_empty_and_others_are_kept_to_the_letter(normalised):
    content = '{"query": "\u200b", "positive": "p1"}\n{"query": "q2", "positive": "\u00ad\ufeff"}\n'
    content += '{"query": "q\u00ad3", "positive": "\U0001f469\u200d\U0001f467"}\n'
    counts, tables = normalised({"a.jsonl": content}, task="retrieval", adapter="pairs")
    assert [row["text"] for row in tables["queries"]] == ["q\u00ad3"]
    assert "\U0001f469\u200d\U0001f467" in [row["text"] for row in tables["corpus"]]
    assert counts["queries_skipped"] == {"'query' is empty": 1, "'positive' is empty": 1}
    accounted(counts)


def test_passages_that_are_named_but_not_there_cost_the_queries_that_have_no_other(normalised, monkeypatch, caplog):
    records = [
        Passage("here", "text", "a.txt", 0, "f"),
        Passage("empty", " ", "a.txt", 1, "f"),
        Query("lost", ("gone", "empty"), (), "g", "a.txt", 7, "f"),
        Query("found", ("here", "gone"), ("empty",), "g", "a.txt", 8, "f"),
    ]
    monkeypatch.setattr(normalise, "read_records", lambda *_, **__: iter(records))
    counts, tables = normalised({}, task="retrieval", adapter="pairs")
    assert [(row["text"], row["positives"], row["negatives"]) for row in tables["queries"]] == [
        ("found", [doc_id("text")], [])
    ]
    assert counts["queries_skipped"] == {normalise.NO_POSITIVE: 1}
    assert counts["links_without_passage"] == 4
    assert "source toy: a.txt row 7: passage 'empty' is named, but is not there" in caplog.text
    assert [row["row"] for row in tables["origins"]] == [0, 8]
    accounted(counts)


def test_mentions_of_a_query_add_up_wherever_they_lie(normalised):
    rows = [
        ("p", "n1", 1),
        ("other", "x", 0),
        ("p", "c1", 2),
        ("alone", "y", 2),
        ("p", "e", 0),
        ("p", "c2", 2),
        ("p", "n2", 1),
    ]
    content = lines(*({"premise": one, "hypothesis": two, "label": label} for one, two, label in rows))
    counts, tables = normalised({"a.jsonl": content}, task="retrieval", adapter="nli")
    [query] = [row for row in tables["queries"] if row["text"] == "p"]
    assert query["positives"] == [doc_id("e")]
    assert query["negatives"] == [doc_id(text) for text in ("c1", "c2", "n1", "n2")]
    assert counts["queries_skipped"] == {normalise.NO_POSITIVE: 1}
    assert {row["text"] for row in tables["queries"]} == {"p", "other"}
    accounted(counts)


def test_rows_left_out_by_the_layout_are_counted(normalised):
    rows = [pair("q", "p", lang="en"), pair("r", "s", lang="de"), pair("t", "u", lang="de")]
    counts, tables = normalised({"a.jsonl": lines(*rows)}, task="retrieval", adapter="pairs", only={"lang": ["en"]})
    assert [row["text"] for row in tables["queries"]] == ["q"]
    assert counts["queries_skipped"] == {"row is left out by the option `only`": 2}
    accounted(counts)


def test_a_key_of_two_texts_is_an_error_with_both_places(normalised, monkeypatch):
    records = [Passage("k", "one", "a.txt", 0, "f"), Passage("k", "two", "a.txt", 4, "f")]
    monkeypatch.setattr(normalise, "read_records", lambda *_, **__: iter(records))
    with pytest.raises(InputError, match=r"key 'k' names two texts \(a\.txt row 0; a\.txt row 4\)"):
        normalised({}, task="retrieval", adapter="pairs")


def test_an_adapter_that_does_not_fit_the_task_is_named(normalised):
    with pytest.raises(InputError, match="yields Query records|yields Passage records, a sts source is made of Pair"):
        normalised({"a.jsonl": lines(pair("q", "p"))}, task="sts", adapter="pairs")


@pytest.mark.parametrize("task", ["classification", "clustering"])
def test_one_label_is_too_few(normalised, task):
    with pytest.raises(InputError, match="all texts have the same label"):
        normalised({"a.jsonl": lines({"text": "t", "label": "x"})}, task=task, adapter="labelled")


def test_an_empty_source_is_an_error_that_says_why(normalised):
    with pytest.raises(InputError, match=r"source toy: no rows are left of 1 read: 'positive' is empty \(1\)"):
        normalised({"a.jsonl": lines(pair("q", ""))}, task="retrieval", adapter="pairs")
    with pytest.raises(InputError, match="source toy: no rows are left of 0 read;"):
        normalised({"a.jsonl": ""}, task="retrieval", adapter="pairs")


def test_a_source_that_may_be_skipped_gives_empty_tables_and_the_reason(normalised, tmp_path):
    counts, tables = normalised({"a.jsonl": ""}, task="retrieval", adapter="pairs", on_error="skip")
    assert tables == {"corpus": [], "queries": [], "origins": []}
    assert "no rows are left" in counts["skipped"]
    assert "no rows are left" in read_metadata(tmp_path / "out/queries.parquet")["skipped"]


def test_a_source_whose_fetch_was_skipped_gives_empty_tables(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps({"files": [], "skipped": "no network"}))
    source = normalise.Reading(name="toy", task="retrieval", adapter="pairs")
    counts = normalise.normalise_source(source, raw="raw", manifest="manifest.json", folder="out", on_error="skip")
    assert counts["skipped"] == "no network"


def test_a_failure_inside_an_adapter_names_source_adapter_and_cause(normalised):
    with pytest.raises(InputError, match=r"source toy: adapter 'lee_documents' cannot read these files \(ValueError"):
        normalised({"sims.txt": "no number\n"}, task="sts", adapter="lee_documents", documents="", similarities="")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl.gz", '{"query": "q"}'), ("a.csv", "query,positive\nq,one, two\n"), ("a.parquet", "no")],
)
def test_a_damaged_file_is_skipped_where_the_policy_says_so(normalised, name, content):
    with pytest.raises(InputError, match=f"^{name}: "):
        normalised({name: content}, task="retrieval", adapter="pairs")
    counts, _ = normalised({name: content}, task="retrieval", adapter="pairs", on_error="skip")
    assert counts["skipped"].startswith(f"{name}: ")


def test_labels_are_one_class_whatever_their_type_and_file(normalised):
    files = {
        "a.jsonl": '{"text": "t1", "label": 1}\n{"text": "t2", "label": 0}\n{"text": "t6", "label": true}\n',
        "b.jsonl": '{"text": "t3", "label": 1.0}\n{"text": "t5", "label": 0.0}\n{"text": "t4", "label": NaN}\n',
        "c.csv": "text,label\nt7,True\nt8,TRUE\nt9,1\n",
    }  # fmt: skip
    counts, tables = normalised(files, task="classification", adapter="labelled")
    assert sorted({row["label"] for row in tables["queries"]}) == ["0", "1", "true"]
    assert counts["queries_skipped"] == {"'label' is empty": 1}


def test_the_row_that_an_adapter_cannot_read_is_named(normalised):
    rows = '{"query": "q", "positive": "p"}\n{"query": {"x": 1}, "positive": "p"}\n'
    with pytest.raises(
        InputError, match=r"source toy: a\.jsonl: row 2: the column 'query' holds objects, no text; name"
    ):
        normalised({"a.jsonl": rows}, task="retrieval", adapter="pairs")
