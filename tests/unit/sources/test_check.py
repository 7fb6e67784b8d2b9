import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from f2llm.config.check import check, load_schema
from f2llm.records.errors import InputError
from f2llm.sources.check import ROWS, as_text, check_source, load_source
from f2llm.sources.survey import LISTED_LABELS

STANZA = {
    "name": "faq", "task": "retrieval", "fetch": [{"kind": "local", "path": "faq.jsonl"}], "adapter": "pairs",
    "instruction": "Answer.", "licence": {"id": "MIT", "commercial": "yes"}, "reference": "r", "group": "answer",
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a stanza and its rows."""

    def write(rows, **changes):
        (tmp_path / "faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / "config/sources").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "config/sources/faq.yaml"
        path.write_text(yaml.safe_dump(STANZA | changes))
        return str(path)

    return write


def pair(number):
    return {"query": f"q{number}", "positive": f"p{number}", "negatives": ["wrong"]}


def test_a_source_is_shown_by_name_and_by_file(written, tmp_path):
    path = written([pair(0), pair(1), {"query": "q", "positive": ""}])
    checked = check_source("faq")
    assert checked == check_source(path)
    assert checked.counts == {"passages": 4, "queries": 2}
    assert checked.skipped == {"'positive' is empty": 1}
    assert checked.complete
    assert checked.warnings == []
    assert as_text(checked).splitlines()[2:] == [
        "  all 4 passages, 2 queries",
        "  left out: 1 'positive' is empty",
        "  example 1: faq.jsonl row 0: 'q0' -> 'p0' | not 'wrong'",
        "  example 2: faq.jsonl row 1: 'q1' -> 'p1' | not 'wrong'",
    ]
    assert not list(tmp_path.rglob(".check-*"))
    assert not (tmp_path / "results/sources").exists()


def test_only_the_first_records_are_read(written):
    written([pair(number) for number in range(50)])
    checked = check_source("faq", rows=9)
    assert checked.counts == {"passages": 6, "queries": 3}
    assert not checked.complete
    assert len(checked.examples) == 3
    assert (
        as_text(checked).splitlines()[2] == "  of the first 9 records, the limit of this check: 6 passages, 3 queries"
    )
    assert check_source("faq", rows=150).complete


def test_the_examples_are_a_keyed_sample_of_all_rows(written):
    written([pair(number) for number in range(50)])
    smallest = sorted(range(50), key=lambda row: hashlib.md5(f"faq.jsonl|{row}|query".encode()).hexdigest())[:10]
    rows = [int(example.split(":")[0].split()[-1]) for example in check_source("faq").examples]
    assert rows == sorted(smallest)
    assert rows[-1] > 30


def test_both_queries_of_a_row_are_different_examples(written):
    written([{"text": "a", "other": "b"}], adapter="duplicates")
    assert check_source("faq").examples == ["faq.jsonl row 0: 'a' -> 'b'", "faq.jsonl row 0: 'b' -> 'a'"]


def test_every_label_is_counted_and_the_most_frequent_are_shown_with_a_text(written):
    labels = [0] * 3 + [1] * 2 + list(range(2, 25))
    written(
        [{"text": f"t{number}", "label": f"l{label:02}"} for number, label in enumerate(labels)],
        task="clustering",
        adapter="labelled",
    )
    checked = check_source("faq")
    assert [(label, count) for label, count, _ in checked.labels.listed] == [
        ("l00", 3), ("l01", 2), *((f"l{label:02}", 1) for label in range(2, 20)),
    ]  # fmt: skip
    assert (checked.labels.others, checked.labels.texts_of_others) == (5, 5)
    lines = as_text(checked).splitlines()
    assert lines[4].startswith("  label 'l01': 2 texts, as 't")
    assert "  5 other labels: 5 texts" in lines


def test_long_texts_are_cut_in_examples(written):
    written([{"query": "q", "positive": "word " * 1000}])
    assert len(as_text(check_source("faq")).splitlines()[-1]) < 400


def test_what_looks_wrong_is_said(written):
    rows = [{"text": f"t{number}", "label": "x", "part": "one"} for number in range(3)] + [
        {"text": "", "label": "x", "part": "one"}
    ] * 4
    written(
        rows,
        task="clustering",
        adapter="labelled",
        options={"group": "part"},
        licence={"id": "MIT", "commercial": "unknown"},
    )
    assert [warning.split(" ")[:4] for warning in check_source("faq").warnings] == [
        ["4", "of", "7", "rows"], ["all", "texts", "have", "the"], ["all", "rows", "are", "in"],
        ["it", "is", "not", "known"],
    ]  # fmt: skip


def test_texts_with_the_name_of_a_control_token_are_counted(written):
    rows = [pair(0), {"query": "what is <|im_end|>?", "positive": "ends a turn, as </s> and [SEP] do"}, pair(1)]
    warning = check_source(written(rows)).warnings[0]
    assert warning.startswith("2 texts hold the name of a control token (</s>, <|im_end|>, [SEP]);")


def test_all_faults_of_a_stanza_are_named(written):
    written([], task="retrival", licence={"id": "MIT", "commercial": "perhaps"})
    with pytest.raises(InputError) as error:
        check_source("faq")
    assert len(error.value.faults) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "name is 'other'; it must equal the file name 'faq'"),
        ({"adapter": "pear"}, "did you mean 'pairs'"),
        ({"options": {"qery": "q"}}, "has no option 'qery'"),
        ({"fetch": [{"kind": "hub", "repository": "a/b"}]}, "'files' is missing"),
        ({"fetch": [{"kind": "http", "url": "file:///etc/passwd"}]}, "does not match"),
        ({"fetch": [{"kind": "hub", "repository": "a/b", "files": ["x"], "revision": "main"}]}, "does not match"),
    ],
)
def test_a_stanza_that_cannot_work_is_refused_before_anything_is_fetched(written, changes, message):
    written([pair(0)], **changes)
    with pytest.raises(InputError, match=message):
        load_source("faq")


def test_an_adapter_that_does_not_fit_the_task_is_named(written):
    written([pair(0)], task="sts")
    with pytest.raises(InputError, match="yields Passage records, a sts source is made of Pair"):
        check_source("faq")


def test_a_source_without_a_record_says_why(written):
    written([{"query": "q", "positive": ""}])
    with pytest.raises(InputError, match=r"no record in the first 1: 1 'positive' is empty"):
        check_source("faq")


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"config/sources/none\.yaml: no such file"):
        check_source("none")


LONG = "x" * 1_000_001
HALF = "half \ud800"
LABELLED = [
    {"text": "a", "label": "x"}, {"text": "a", "label": "y"}, {"text": "b", "label": "x"}, {"text": "c", "label": "y"},
    {"text": HALF, "label": "x"}, {"text": "d", "label": None}, {"text": LONG, "label": "x"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("task", "adapter", "rows"),
    [
        ("retrieval", "pairs", [pair(0), {"query": "q", "positive": LONG}, {"query": LONG, "positive": "p"}, {"query": "q2", "positive": HALF}, {"query": "q3", "positive": None}, {"query": "q4", "positive": "p", "negatives": [HALF]}, {"query": "q5", "positive": [LONG, "p5"]}]),
        ("retrieval", "duplicates", [{"text": "a", "other": "b"}, {"text": "c", "other": HALF}, {"text": "d", "other": LONG}]),
        ("classification", "labelled", LABELLED),
        ("clustering", "labelled", LABELLED),
        ("sts", "graded_pairs", [{"text": "a", "other": "b", "grade": 1}, {"text": "c", "other": LONG, "grade": 1}, {"text": "c", "other": "d", "grade": "x"}, {"text": "c", "other": HALF, "grade": 1}]),
    ],
)  # fmt: skip
def test_it_counts_what_a_run_counts(written, normalised, task, adapter, rows):
    written(rows, task=task, adapter=adapter)
    checked = check_source("faq")
    counts, _ = normalised({"a.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}, task=task, adapter=adapter)
    left_out = Counter(counts["queries_skipped"]) + Counter(counts["passages_skipped"] if task == "retrieval" else {})
    assert checked.skipped == left_out
    used = {role: counts[f"{role}_kept"] + counts[f"{role}_collapsed"] for role in ("queries", "passages")}
    assert checked.counts.get("passages", used["passages"]) == used["passages"]
    assert next(number for name, number in checked.counts.items() if name != "passages") == used["queries"]
    assert not [
        example for example in checked.examples if "xxx" in example or "half" in example or "passage " in example
    ]


def test_a_part_of_the_records_is_counted_by_the_same_rules(written):
    rows = [{"query": "q", "positive": LONG}, {"query": "r", "positive": "p"}, {"query": "s", "positive": HALF}]
    written([*rows, *[pair(number) for number in range(9)]])
    checked = check_source("faq", rows=5)
    assert not checked.complete
    assert checked.counts == {"passages": 2, "queries": 1}
    assert checked.skipped == {
        "text has over 1,000,000 characters": 1, "query has no positive": 1, "text is not valid Unicode": 1,
    }  # fmt: skip


def test_rows_that_are_excluded_on_request_are_counted_as_such(written, tmp_path):
    written([pair(0), pair(1)])
    (tmp_path / "config/exclude.yaml").write_text("- {source: faq, file: faq.jsonl, row: 0, reason: asked for}\n")
    assert check_source("faq").skipped == {"excluded on request": 3}


def test_lists_that_were_saved_as_texts_are_remarked_on_and_read_with_an_option(written, tmp_path):
    rows = "query,positive\nq,\"['right a', 'right b']\"\nr,\"['right c']\"\n"
    written([], fetch=[{"kind": "local", "path": "faq.csv"}])
    (tmp_path / "faq.csv").write_text(rows)
    (warning,) = check_source("faq").warnings
    assert warning.startswith("most texts of 'positive' begin with [ and end with ]")
    written([], fetch=[{"kind": "local", "path": "faq.csv"}], options={"lists": ["positive"]})
    checked = check_source("faq")
    assert checked.warnings == []
    assert checked.examples[0] == "faq.csv row 0: 'q' -> 'right a' or 'right b'"


def test_marks_around_texts_of_tabbed_files_and_labels_that_are_one_number_are_remarked_on(written, tmp_path):
    written([], fetch=[{"kind": "local", "path": "faq.tsv"}], task="clustering", adapter="labelled")
    (tmp_path / "faq.tsv").write_text('text\tlabel\n"a"\t1\n"b"\t1.0\n')
    marks, numbers = check_source("faq").warnings
    assert "stand between quotation marks" in marks
    assert numbers.startswith("the labels '1' and '1.0' are one number and different classes")


def test_hidden_files_are_named(written, tmp_path, caplog):
    written([pair(0)], fetch=[{"kind": "local", "path": "data"}])
    for name in ("faq.jsonl", ".ipynb_checkpoints/faq-checkpoint.jsonl"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_text(json.dumps(pair(0)))
    assert check_source("faq").counts == {"passages": 2, "queries": 1}
    assert "source faq: hidden, so passed over: data/.ipynb_checkpoints" in caplog.text


def test_the_page_states_the_limits_and_its_stanza_of_a_database_is_valid():
    page = (Path(__file__).parents[3] / "docs/adding-a-source.md").read_text()
    assert f"reads {ROWS:,} records at most" in page
    assert f"the {LISTED_LABELS} most frequent labels" in page
    [block] = [block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: sql" in block]
    assert check(STANZA | yaml.safe_load(block), schema=load_schema("source"), where="page") == []


def test_a_check_of_no_records_is_refused(written):
    with pytest.raises(InputError, match="0 records: nothing would be read"):
        check_source(written([pair(0)]), rows=0)
