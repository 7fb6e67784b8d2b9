import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.curate import evaluation_texts
from f2llm.curate.decontaminate import EvaluationTexts
from f2llm.curate.evaluation_texts import index_texts
from f2llm.curate.passages import comparable
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_path
from f2llm.records.schemas.tasks import TEXTS
from f2llm.records.tables import write_table

NINE = "which old keeper lit the red lamp every evening"


def write(path, *rows, metadata=None):
    rows = [{"task": "A", "split": "test", "id": str(at), "field": "query"} | row for at, row in enumerate(rows)]
    write_table(path, schema=TEXTS, rows=[pa.Table.from_pylist(rows, TEXTS)], metadata=metadata)


def build(tmp_path, texts, *, extra=(), missing="fail", query_like=()):
    return index_texts(
        texts, extra=extra, folder=tmp_path / "index", query_like=query_like, missing=missing, memory_mb=100
    )


def test_tasks_without_test_data_are_refused_all_at_once(tmp_path):
    write(tmp_path / "a", {"text": NINE})
    write(tmp_path / "b")
    write(tmp_path / "c", {"task": "C", "text": NINE, "field": "corpus"}, {"task": "C", "text": NINE, "split": "train"})
    with pytest.raises(InputError) as error:
        build(tmp_path, {"A": tmp_path / "a", "B": tmp_path / "b", "C": tmp_path / "c"})
    assert [fault.split(":")[0] for fault in error.value.faults] == ["benchmark task B", "benchmark task C"]
    assert "missing: allow" in error.value.faults[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_they_may_be_missing_where_the_run_says_so_and_are_named(tmp_path):
    write(tmp_path / "a", {"text": NINE})
    write(tmp_path / "b")
    counts = build(tmp_path, {"A": tmp_path / "a", "B": tmp_path / "b"}, missing="allow")
    assert counts == {"tasks": 1, "texts": 1, "missing": ["B"], "skipped": []}
    assert read_json(tmp_path / "index" / "index.json")["missing"] == ["B"]


def test_a_task_whose_source_was_skipped_is_not_missing(tmp_path):
    write(tmp_path / "b", metadata={"skipped": "the source has no rows"})
    assert build(tmp_path, {"B": tmp_path / "b"})["skipped"] == ["B"]


def test_what_is_wrong_with_foreign_tables_is_said_for_all_of_them(tmp_path):
    pq.write_table(pa.table({"task": ["A"], "text": ["x"]}), tmp_path / "columns")
    rows = {
        "task": ["A", None],
        "split": ["test"] * 2,
        "id": ["1", "2"],
        "field": ["query", "answer"],
        "text": ["x", "y"],
    }
    pq.write_table(pa.table(rows), tmp_path / "values")
    (tmp_path / "broken").write_text("no table")
    with pytest.raises(InputError) as error:
        build(tmp_path, {}, extra=[tmp_path / name for name in ("columns", "values", "broken")])
    faults = "\n".join(error.value.faults)
    for said in (
        "columns split, id, field are missing",
        "1 values are null",
        "field is 'answer'",
        "cannot be read as Parquet",
    ):
        assert said in faults
    assert len(error.value.faults) == 4


def test_numbers_as_ids_are_taken(tmp_path):
    rows = {"task": ["A"], "split": ["test"], "id": [7], "field": ["text"], "text": [NINE]}
    pq.write_table(pa.table(rows), tmp_path / "t")
    build(tmp_path, {}, extra=[tmp_path / "t"])
    evaluation = EvaluationTexts(tmp_path / "index", containment=0.5, min_words=1)
    assert evaluation.places([0])[0].id == "7"


def test_query_like_corpora_are_matched_and_others_counted(index):
    rows = [
        {"task": task, "split": "test", "id": "1", "field": "corpus", "text": NINE} for task in ("Arguments", "Wiki")
    ]
    evaluation = index(rows=rows, query_like=("Arguments",))
    hits = evaluation.match([comparable(NINE)])
    assert [place.task for place in evaluation.places(hits.text.tolist())] == ["Arguments"]
    assert evaluation.in_corpora([comparable(NINE)]) == {"Wiki": 1}


def test_a_text_of_several_tasks_is_a_hit_in_each(index):
    rows = [
        {"task": task, "split": "test", "id": number, "field": "query", "text": text}
        for task, number, text in (("A", "1", NINE), ("B", "2", NINE.upper()), ("B", "3", NINE))
    ]
    evaluation = index(rows=rows)
    hits = evaluation.match([comparable("x"), comparable(NINE)])
    assert hits.position.tolist() == [1, 1]
    assert evaluation.evidence(hits) == ["A 1 equal", "B 2 equal"]


@pytest.mark.parametrize(("text", "min_words", "drops"), [("lion", 1, True), ("lion", 2, False), ("sea lion", 2, True)])
def test_texts_below_min_words_hit_without_dropping(index, text, min_words, drops):
    hits = index(text, min_words=min_words).match([comparable(text)])
    assert hits.drops.tolist() == [drops]


def test_chinese_and_thai_texts_are_found_inside_others(index):
    chinese, thai = (  # 10 and 19 letters: six words and five
        "\u6628\u5929\u665a\u4e0a\u8c01\u70b9\u4eae\u4e86\u7ea2\u706f",
        "\u0e43\u0e04\u0e23\u0e08\u0e38\u0e14\u0e42\u0e04\u0e21\u0e44\u0e1f\u0e2a\u0e35\u0e41\u0e14\u0e07\u0e17\u0e38\u0e01\u0e40\u0e22\u0e47\u0e19",
    )
    evaluation = index(chinese, thai, min_words=2)
    inside = [comparable(f"\u6628\u5929{chinese}\u5417"), comparable(f"x {thai}"), comparable(chinese[:4])]
    hits = evaluation.match(inside)
    assert (hits.position.tolist(), hits.drops.tolist()) == ([0, 1], [True, True])


@pytest.mark.parametrize(
    ("letters", "around", "rule"), [(7, False, "equal"), (7, True, None), (8, True, "run"), (13, True, "run"), (40, True, "5-grams")]
)  # fmt: skip
def test_chinese_texts_are_found_by_the_rule_for_as_many_english_words(index, letters, around, rule):
    text = "".join(chr(0x4E00 + at * 7) for at in range(letters))
    evaluation = index(text)
    hits = evaluation.match([comparable(f"\u6628\u5929{text}\u3002\u8c01" if around else text)])
    assert hits.rule.tolist() == ([rule] if rule else [])


def test_half_a_chinese_text_is_a_hit_from_nine_words_on_and_a_changed_run_is_none(index):
    long, run = (
        "".join(chr(start + at * 7) for at in range(letters)) for start, letters in ((0x4E00, 40), (0x6E00, 12))
    )
    evaluation = index(long, run)
    parts = [long[:24], long[:23], run[:11] + "\u8c01", "\u8c01" + run]
    assert evaluation.match(list(map(comparable, parts))).position.tolist() == [0, 3]


def test_a_gram_of_latin_words_and_letters_is_worth_five_words(index):
    text = "open Home Assistant \u8bbe\u7f6e\u9875\u9762 and choose devices \u6dfb\u52a0\u96c6\u6210"
    evaluation = index(text)
    spaced = text.replace("Assistant ", "Assistant").replace(" and", "\u3002and")
    assert evaluation.match([comparable(f"first {spaced}!")]).rule.tolist() == ["5-grams"]


def test_an_english_run_is_found_beside_chinese_letters(index):
    assert index("who lit the red lamp").match(
        [comparable("\u8c01 who lit the red lamp\u6628\u5929")]
    ).rule.tolist() == ["run"]


@pytest.mark.parametrize(
    ("text", "min_words", "drops"), [("\u4e2d\u56fd", 2, False), ("\u4e2d", 1, True), ("\u4e2d\u56fd\u4eba", 2, True)]
)
def test_a_chinese_word_is_no_leak_where_an_english_one_is_none(index, text, min_words, drops):
    assert index(text, min_words=min_words).match([comparable(text)]).drops.tolist() == [drops]


def test_the_index_is_the_same_bytes_whatever_the_order_and_files(tmp_path):
    rows = [{"id": str(at), "text": f"{NINE} {at % 7}", "task": "AB"[at % 2]} for at in range(40)]
    write(tmp_path / "all", *rows)
    write(tmp_path / "first", *rows[25:][::-1])
    write(tmp_path / "second", *rows[:25])
    digests = []
    for files in (["all"], ["second", "first"]):
        build(tmp_path, {}, extra=[tmp_path / name for name in files])
        digests.append(sha256_path(tmp_path / "index"))
    assert digests[0] == digests[1]


def test_places_are_read_in_the_order_asked_for_across_batches(index, monkeypatch):
    monkeypatch.setattr(evaluation_texts, "ROWS_PER_BATCH", 2)
    evaluation = index(*(f"{NINE} {at}" for at in range(7)))
    assert [place.id for place in evaluation.places([6, 0, 3, 3, 5])] == ["6", "0", "3", "3", "5"]
    hits = evaluation.match([comparable(f"{NINE} 4")])
    assert evaluation.evidence(hits) == ["Toy 4 equal"]
