"""Adapters on rows in the shapes of the public data sets, with the options of the shipped stanzas."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml
from f2llm.rows.archives import RawFile
from f2llm.sources.adapters import read_records
from f2llm.sources.records import Labelled, Passage, Query, Skipped

STANZAS = Path(__file__).parents[3] / "config" / "sources"


@pytest.fixture
def shipped(tmp_path):
    """Return a function that reads files with adapter and options of a shipped stanza."""

    def read(name, files, **changes):
        stanza = read_yaml(STANZAS / f"{name}.yaml")
        raw = []
        for file, content in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.endswith(".parquet"):
                pq.write_table(pa.Table.from_pylist(content), path)
            else:
                text = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
                path.write_bytes(gzip.compress(text.encode()) if file.endswith(".gz") else text.encode())
            raw.append(RawFile(path, name=file))
        options = stanza.get("options", {}) | changes
        return list(read_records(raw, name=name, adapter=stanza["adapter"], options=options))

    return read


def labelled(found):
    return [(row.text, row.label) for row in found if isinstance(row, Labelled)]


def asked(found):
    """Return (query, positives, negatives, later negatives) as texts."""
    texts = {row.key: row.text for row in found if isinstance(row, Passage)}
    return [
        (row.text, *([texts[key] for key in keys] for keys in (row.positives, row.negatives, row.later_negatives)))
        for row in found
        if isinstance(row, Query)
    ]


def passages(found):
    return [row.text for row in found if isinstance(row, Passage)]


def reasons(found):
    return [row.reason for row in found if isinstance(row, Skipped)]


def test_snli(shipped):
    rows = [
        {"premise": "A man eats.", "hypothesis": hypothesis, "label": label}
        for hypothesis, label in (("Someone eats.", 0), ("He eats pasta.", 1), ("He sleeps.", 2), ("Hm.", -1), ("", 0))
    ]
    found = shipped("snli", {"plain_text/train-00000-of-00001.parquet": rows})
    assert asked(found) == [
        ("A man eats.", ["Someone eats."], [], []),
        ("A man eats.", [], [], ["He eats pasta."]),
        ("A man eats.", [], ["He sleeps."], []),
    ]
    assert reasons(found) == ["row has no gold label", "'hypothesis' is empty"]
    assert {row.group for row in found if isinstance(row, Query)} == {"a man eats."}


def test_anli_and_mnli_have_the_columns_of_snli_and_more(shipped):
    row = {"uid": "1", "premise": "p", "hypothesis": "h", "label": 0, "reason": "because"}
    assert asked(shipped("anli", {"plain_text/train_r1-0.parquet": [row]})) == [("p", ["h"], [], [])]
    row = {
        "promptID": 1,
        "pairID": "1e",
        "premise": "p",
        "premise_parse": "(p)",
        "hypothesis": "h",
        "genre": "fiction",
        "label": 2,
    }
    assert asked(shipped("mnli", {"data/train-0.parquet": [row]})) == [("p", [], ["h"], [])]


def test_sts_pairs_of_score_four_and_over_are_used_both_ways(shipped):
    rows = [
        {"split": "train", "score": score, "sentence1": f"one {score}", "sentence2": f"two {score}"}
        for score in (5.0, 4.0, 3.99, 0.0)
    ]
    found = shipped(
        "stsbenchmark",
        {"train.jsonl": [*rows, rows[0] | {"sentence2": rows[0]["sentence1"]}, rows[0] | {"score": None}]},
    )
    assert [(query, right) for query, right, *_ in asked(found)] == [
        ("one 5.0", ["two 5.0"]), ("two 5.0", ["one 5.0"]), ("one 4.0", ["two 4.0"]), ("two 4.0", ["one 4.0"]),
    ]  # fmt: skip
    assert {"one 0.0", "two 0.0", "two 3.99"} <= set(passages(found))
    assert reasons(found) == [
        "the two texts do not mean the same", "the two texts do not mean the same", "the two texts are equal",
        "'score' is not a number",
    ]  # fmt: skip


def test_both_directions_of_a_pair_are_split_alike(shipped):
    found = shipped("stsbenchmark", {"train.jsonl": [{"score": 5, "sentence1": "b", "sentence2": "A"}]})
    assert [row.group for row in found if isinstance(row, Query)] == ["a", "a"]


def test_qqp_keeps_questions_without_duplicate_in_the_corpus(shipped):
    rows = [
        {"question1": "a?", "question2": "b?", "label": 1, "idx": 0},
        {"question1": "c?", "question2": "d?", "label": 0, "idx": 1},
    ]
    found = shipped("qqp", {"qqp/train-0.parquet": rows})
    assert [(query, right) for query, right, *_ in asked(found)] == [("a?", ["b?"]), ("b?", ["a?"])]
    assert passages(found) == ["a?", "b?", "c?", "d?"]


def test_stackexchange_duplicates(shipped):
    found = shipped("stackexchangedupquestions_p2p", {"post-post-pair/train-0.parquet": [{"post1": "a", "post2": "b"}]})
    assert [(query, right) for query, right, *_ in asked(found)] == [("a", ["b"]), ("b", ["a"])]


BEIR = {
    "corpus.jsonl": [
        {"_id": "d1", "title": "Title", "text": "one"},
        {"_id": "d2", "title": "", "text": "two"},
        {"_id": "d3", "title": None, "text": ""},
    ],
    "queries.jsonl": [{"_id": "q1", "text": "first?"}, {"_id": "q2", "text": "other split?"}, {"_id": "q3", "text": "third?"}],
    "qrels/train.jsonl": [
        {"query-id": "q1", "corpus-id": "d2", "score": 1}, {"query-id": "q1", "corpus-id": "d1", "score": 2},
        {"query-id": "q3", "corpus-id": "d3", "score": 0},
    ],
}  # fmt: skip


@pytest.mark.parametrize("layout", ["jsonl", "tsv", "parquet"])
def test_beir(shipped, layout):
    files = dict(BEIR)
    if layout == "tsv":
        rows = files.pop("qrels/train.jsonl")
        files["qrels/train.tsv"] = "\n".join(
            ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row.values())) for row in rows)]
        )
    if layout == "parquet":
        files = {f"{name.split('.')[0]}-00000-of-00001.parquet": rows for name, rows in files.items()}
    found = shipped("scifact", files, qrels="qrels/train*")
    assert [(row.key, row.text, row.field) for row in found if isinstance(row, Passage)] == [
        ("d1", "Title one", "title+text"), ("d2", "two", "title+text"), ("d3", "", "title+text"),
    ]  # fmt: skip
    assert [(row.text, row.positives, row.group) for row in found if isinstance(row, Query)] == [
        ("first?", ("d2", "d1"), "d1")
    ]
    assert reasons(found) == [
        "passage is judged not to be relevant",
        *["query has no relevant passage in this split"] * 2,
    ]


def test_beir_without_the_wanted_split_says_what_is_there(shipped):
    files = {name.replace("train", "test"): rows for name, rows in BEIR.items()}
    with pytest.raises(
        InputError,
        match=r"no file is named like 'qrels/train\.jsonl' \(there are corpus\.jsonl, queries\.jsonl, qrels/test\.jsonl\)",
    ):
        shipped("scifact", files)


def test_one_text_a_line_one_file_a_class_in_an_archive(shipped, wheel):
    stanza = read_yaml(STANZAS / "stackexchange_clustering_s2s.yaml")
    folder = stanza["options"]["member"].removesuffix("*.txt")
    members = {
        f"{folder}dba.stackexchange.com.txt": "Index Including PK\n\noverstating field size\r\n",
        f"{folder}avp.stackexchange.com.txt": "Best tripod?\n",
        f"{folder.replace('train', 'dev')}avp.stackexchange.com.txt": "other split\n",
        "README.md": "about",
    }
    path = wheel(members)
    found = list(
        read_records([RawFile(path, name="a" * 40)], name="toy", adapter="labelled", options=stanza["options"])
    )
    assert labelled(found) == [
        ("Best tripod?", "avp.stackexchange.com"), ("Index Including PK", "dba.stackexchange.com"),
        ("overstating field size", "dba.stackexchange.com"),
    ]  # fmt: skip
    assert reasons(found) == ["'text' is empty"]
    assert found[-1].row == 2


def test_title_and_body_in_a_list_and_the_first_tag_for_the_class(shipped):
    rows = [{"texts": ["title", "body"], "tags": ["unity", "c#"]}, {"texts": ["title", "body"], "tags": []}]
    found = shipped("stackexchange_clustering_p2p", {"default/partial-train/0000.parquet": rows})
    assert labelled(found) == [("title body", "unity")]
    assert reasons(found) == ["'tags' is empty"]


def test_a_class_may_be_the_name_of_the_file(shipped):
    files = {f"{site}.example.com.jsonl.gz": [{"texts": [f"title {site}", "body"]}] for site in ("cs", "or")}
    found = shipped("stackexchange_clustering_p2p", files, label="site", file_column="site")
    assert labelled(found) == [("title cs body", "cs.example.com"), ("title or body", "or.example.com")]


def test_lines_that_are_lists_and_lines_that_are_objects_give_the_same_pairs(shipped):
    row = {"title_body": "t b", "upvoted_answer": "u"}
    as_lists = shipped("stackexchange", {"cs.stackexchange.com.jsonl.gz": [list(row.values())]})
    assert asked(as_lists) == asked(shipped("stackexchange", {"cs.stackexchange.com.jsonl.gz": [row]}))
    assert asked(as_lists) == [("t b", ["u"], [], [])]
    with pytest.raises(InputError, match=r"3 fields for 2 columns 'title_body', 'upvoted_answer'"):
        shipped("stackexchange", {"cs.stackexchange.com.jsonl.gz": [["t b", "u", "another"]]})


def test_of_several_versions_of_a_paper_the_first_counts(shipped):
    row = {"id": "10.1101/1", "title": "T", "abstract": "a", "category": "ecology"}
    files = {
        "train_0.jsonl.gz": [row, row | {"title": "T, revised"}],
        "train_1.jsonl.gz": [row | {"category": "zoology"}, row | {"id": "10.1101/2", "title": "Other"}],
    }
    for name in ("biorxiv_clustering_s2s", "medrxiv_clustering_s2s"):
        found = shipped(name, files)
        assert labelled(found) == [("T", "ecology"), ("Other", "ecology")]
        assert [(row.reason.split(" in ")[0], row.count, row.file) for row in found if isinstance(row, Skipped)] == [
            ("row has the text of one before it", 1, "train_0.jsonl.gz"),
            ("row has the text of one before it", 1, "train_1.jsonl.gz"),
        ]


@pytest.mark.parametrize("categories", ["cs.LG stat.ML", ["cs.LG", "stat.ML"]])
def test_of_several_categories_the_first_counts(shipped, categories):
    row = {"id": "1", "title": "A title", "abstract": "An  abstract.", "categories": categories}
    p2p = shipped("arxiv_clustering_p2p", {"train.jsonl.gz": [row]})
    s2s = shipped("arxiv_clustering_s2s", {"train.jsonl.gz": [row]})
    assert labelled(p2p) == [("A title An  abstract.", "cs.LG")]
    assert labelled(s2s) == [("A title", "cs.LG")]
    assert p2p[0].group == s2s[0].group == "a title"


def test_labels_as_numbers_become_words(shipped):
    rows = [{"sentence": "They drank.", "label": 1, "idx": 0}, {"sentence": "Drank they it.", "label": 0, "idx": 1}]
    assert labelled(shipped("cola", {"cola/train-0.parquet": [*rows, {"sentence": "?", "label": -1, "idx": 2}]})) == [
        ("They drank.", "acceptable"), ("Drank they it.", "not acceptable"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "row", "pair"),
    [
        (
            "banking77",
            {"text": "Where is my card?", "label": 11, "label_text": "card_arrival"},
            ("Where is my card?", "card_arrival"),
        ),
        (
            "amazon_counterfactual",
            {"text": "I wish.", "label": 1, "label_text": "counterfactual"},
            ("I wish.", "counterfactual"),
        ),
        (
            "massive_intent",
            {"id": "1", "label": "alarm_set", "label_text": "alarm_set", "text": "wake me"},
            ("wake me", "alarm_set"),
        ),
        ("mtop_intent", {"text": "call mum", "label": 3}, ("call mum", "3")),
        ("reddit_clustering_p2p", {"title": "T", "body": "b", "subreddit": "cats"}, ("T b", "cats")),
        ("biorxiv_clustering_s2s", {"id": "1", "title": "T", "abstract": "a", "category": "ecology"}, ("T", "ecology")),
    ],
)
def test_rows_with_labels(shipped, name, row, pair):
    assert labelled(shipped(name, {"train.jsonl": [row]})) == [pair]


PASSAGE = {"docid": "1#0", "title": "Cat", "text": "A cat purrs."}
OTHER = {"docid": "2#0", "title": "", "text": "Dogs bark."}


@pytest.mark.parametrize("nested", [[PASSAGE], {key: [value] for key, value in PASSAGE.items()}])
def test_passages_nested_in_the_row_of_their_question(shipped, nested):
    row = {"query_id": "1", "query": "What purrs?", "positive_passages": nested, "negative_passages": [OTHER]}
    found = shipped("mrtidy", {"mrtydi-v1.1-english/train.parquet": [row]})
    assert asked(found) == [("What purrs?", ["Cat A cat purrs."], [], [])]
    assert passages(found) == ["Cat A cat purrs.", "Dogs bark."]
    none = row | {"positive_passages": []}
    assert reasons(shipped("mrtidy", {"mrtydi-v1.1-english/train.jsonl.gz": [none]})) == [
        "'positive_passages' is empty"
    ]


def test_eli5_takes_the_best_scored_answer_of_all_three_forums(shipped):
    answers = {"a_id": ["x", "y", "z"], "text": ["worse", "best", ""], "score": [3, 7, 9]}
    row = {"q_id": "1", "title": "Why?", "selftext": "", "subreddit": "explainlikeimfive", "answers": answers}
    rows = [row, row | {"title": "How?", "subreddit": "AskHistorians"}, row | {"answers": {"text": [], "score": []}}]
    found = shipped("eli5", {"eli5_train.json": rows})
    assert asked(found) == [("Why?", ["best"], [], []), ("How?", ["best"], [], [])]
    assert reasons(found) == ["'answers.text' is empty"]
    one = shipped("eli5", {"eli5_train.json": rows}, only={"subreddit": ["explainlikeimfive"]})
    assert asked(one) == [("Why?", ["best"], [], [])]
    assert reasons(one) == ["'answers.text' is empty", "row is left out by the option `only`"]


@pytest.mark.parametrize(
    ("name", "file", "row", "query", "positives", "corpus"),
    [
        ("squad", "plain_text/train-0.parquet", {"id": "1", "title": "t", "context": "C.", "question": "Q?", "answers": {"text": ["C"], "answer_start": [0]}}, "Q?", ["C."], ["C."]),
        ("pubmedqa", "pqa_unlabeled/train-0.parquet", {"pubid": 1, "question": "Q?", "context": {"contexts": ["One.", "Two."], "labels": ["A", "B"]}, "long_answer": "L"}, "Q?", ["One. Two."], ["One. Two."]),
        ("miracl", "en-triplet-all/train-0.parquet", {"anchor": "Q?", "positive": "P", "negative": "N"}, "Q?", ["P"], ["P", "N"]),
        ("triviaqa", "triplet-all/train-0.parquet", {"anchor": "Q?", "positive": "P", "negative": "N"}, "Q?", ["P"], ["P", "N"]),
        ("specter", "triplet/train-0.parquet", {"anchor": "T", "positive": "P", "negative": "N"}, "T", ["P"], ["P", "N"]),
        ("stackoverflowdupquestions", "train.jsonl.gz", {"query": "Q", "positive": ["P1", "P2"], "negative": ["N1", "N2"]}, "Q", ["P1", "P2"], ["P1", "P2", "N1", "N2"]),
        ("arguana", "train.jsonl.gz", {"_id": "1", "title": "T", "text": "x", "query": "Q?"}, "Q?", ["T x"], ["T x"]),
        ("xsum", "default/train/0000.parquet", {"document": "D", "summary": "S", "id": "1"}, "S", ["D"], ["D"]),
        ("cnn_dm", "3.0.0/train-0.parquet", {"article": "A", "highlights": "H", "id": "1"}, "H", ["A"], ["A"]),
        ("sentence_compression", "pair/train-0.parquet", {"text": "Long one.", "simplified": "Long."}, "Long.", ["Long one."], ["Long one."]),
        ("natural_questions", "pair/train-0.parquet", {"query": "q", "answer": "a"}, "q", ["a"], ["a"]),
        ("amazon_qa", "train-qar.jsonl", {"questionText": "Q?", "review_snippets": ["R1", "R2"], "answers": [{"answerText": "x"}]}, "Q?", ["R1", "R2"], ["R1", "R2"]),
        ("s2orc_title_citation", "title-citation-pair/train-0.parquet", {"title": "T", "citation": "C"}, "T", ["C"], ["C"]),
    ],
)  # fmt: skip
def test_rows_with_passages(shipped, name, file, row, query, positives, corpus):
    found = shipped(name, {file: [row]})
    assert asked(found) == [(query, positives, [], [])]
    assert passages(found) == corpus


def test_columns_renamed_upstream_are_named_with_what_is_there(shipped):
    with pytest.raises(InputError, match=r"there is no column 'title'; it has 'heading', 'abstract'"):
        shipped("s2orc_title_abstract", {"title-abstract-pair/train-0.parquet": [{"heading": "T", "abstract": "A"}]})
    with pytest.raises(InputError, match="there is no column 'context.contexts'"):
        shipped("pubmedqa", {"a.parquet": [{"question": "Q?", "contexts": ["A"]}]})


@pytest.mark.parametrize("content", ['[{"query": "q", "answer": "a"}]', '{"query": "q", "answer": "a"}\n'])
def test_a_json_file_holds_a_list_or_lines(shipped, content):
    assert [query for query, *_ in asked(shipped("paq", {"train.json": content}))] == ["q"]


@pytest.mark.parametrize("content", ["[1]", "[broken", '["a"]'])
def test_a_json_file_that_holds_no_rows_is_refused(shipped, content):
    with pytest.raises(InputError, match=r"train\.json"):
        shipped("paq", {"train.json": content})


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("<html>log in</html>")
    with pytest.raises(InputError, match=r"a\.parquet: not readable as Parquet"):
        list(read_records([RawFile(tmp_path / "a.parquet", name="a.parquet")], name="toy", adapter="pairs", options={}))


def test_broken_utf8_is_refused_and_may_be_replaced(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"fine\nbro\xffken\n")
    raw, options = [RawFile(tmp_path / "a.txt", name="a.txt")], {"label": "site", "file_column": "site"}
    with pytest.raises(InputError, match=r"a\.txt: not utf-8"):
        list(read_records(raw, name="toy", adapter="labelled", options=options))
    found = list(read_records(raw, name="toy", adapter="labelled", options=options | {"errors": "replace"}))
    assert labelled(found) == [("fine", "a"), ("bro\ufffdken", "a")]
