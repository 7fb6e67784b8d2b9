import pytest

from f2llm.evaluate.tasks.data import is_empty, read_lines
from f2llm.evaluate.tasks.drawn import build_task
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_path
from f2llm.records.tables import read_table


@pytest.fixture
def build(tmp_path):
    def run(task, tables, name="built"):
        folder = tmp_path / name / "data"
        counts = build_task(task, tables, folder=folder, texts=tmp_path / name / "texts.parquet")
        rows = {path.stem: read_lines(path) for path in folder.glob("*.jsonl")}
        return folder, rows, read_table(tmp_path / name / "texts.parquet").to_pylist(), counts

    return run


def retrieval_source(source, *, queries=12):
    for number in range(queries):
        source.add(f"query {number}", f"answer {number}", group=f"group {number // 4}")
    for number in range(40):
        source.passage(f"filler {number}")
    return source


def test_positives_are_in_the_corpus_and_relevant(source, task, build):
    tables = retrieval_source(source).write()
    _, rows, _, counts = build(task("retrieval", queries=5, passages=20), tables)
    texts = {row["_id"]: row["text"] for row in (*rows["queries"], *rows["corpus"])}
    judged = {(texts[row["query-id"]], texts[row["corpus-id"]]) for row in rows["qrels"]}
    assert judged == {(row["text"], row["text"].replace("query", "answer")) for row in rows["queries"]}
    assert counts | {"rows_in": 12, "queries": 5, "corpus": 20, "qrels": 5, "texts": 25} == counts


def test_up_to_half_of_the_corpus_answers_other_queries_of_the_same_groups(source, task, build):
    for number in range(40):
        source.add(f"query {number}", f"answer {number}", group="one group")
    for number in range(40):
        source.passage(f"filler {number}")
    _, rows, _, _ = build(task("retrieval", queries=4, passages=20), source.write())
    answers = [row for row in rows["corpus"] if row["text"].startswith("answer")]
    assert len(answers) >= 4 + 10


def test_a_relevant_copy_of_a_passage_is_no_miss(source, task, build):
    source.add("query", "The Answer", "the  answer")
    source.add("Query", "another answer")
    source.passage("THE ANSWER")
    source.passage("something else")
    _, rows, _, _ = build(task("retrieval"), source.write())
    assert sorted(row["text"].casefold().split()[-1] for row in rows["corpus"]) == ["answer", "answer", "else"]
    assert len(rows["queries"]) == 1
    assert len(rows["qrels"]) == 2


def test_rows_do_not_depend_on_the_order_of_the_tables(source, task, build):
    retrieval_source(source)
    wanted = task("retrieval", queries=5, passages=20)
    first, _, first_texts, _ = build(wanted, source.write())
    second, _, second_texts, _ = build(wanted, source.write(name="back", backwards=True), name="again")
    assert sha256_path(first) == sha256_path(second)
    assert first_texts == second_texts


def test_only_the_asked_split_is_scored(source, task, build):
    for split in ("train", "dev", "test"):
        source.add(f"{split} query", f"{split} answer", split=split)
    tables = source.write()
    for split in ("dev", "test"):
        _, rows, texts, _ = build(task("retrieval", split=split), tables, name=split)
        assert [row["text"] for row in rows["queries"]] == [f"{split} query"]
        assert {row["split"] for row in texts} == {split}


@pytest.mark.parametrize(("passages", "fits"), [(52, True), (53, False)])
def test_asking_for_more_passages_than_there_are_is_a_fault_with_both_counts(source, task, build, passages, fits):
    tables = retrieval_source(source).write()
    wanted = task("retrieval", queries=5, passages=passages)
    if fits:
        assert len(build(wanted, tables)[1]["corpus"]) == 52
        return
    with pytest.raises(InputError, match="passages is 53, source 'toy' has 52"):
        build(wanted, tables)


def test_asking_for_more_queries_than_there_are_is_a_fault_with_both_counts(source, task, build):
    tables = retrieval_source(source).write()
    with pytest.raises(InputError, match=r"queries is 13, source 'toy' has 12 \(split test\)"):
        build(task("retrieval", queries=13), tables)


def test_more_relevant_passages_than_the_corpus_may_have_is_a_fault(source, task, build):
    with pytest.raises(InputError, match="passages is 3, its queries alone have 4"):
        build(task("retrieval", queries=4, passages=3), retrieval_source(source).write())


def classes(source):
    for number in range(20):
        for label in ("bad", "good"):
            source.add(f"{label} test {number}", label, label=label)
            source.add(f"{label} train {number}", label, label=label, split="train")
    return source


def test_the_probe_is_fitted_on_training_rows_that_are_no_evaluation_texts(source, task, build):
    source.add("Good TEST 3", "good", label="good", split="train")  # a copy of a scored text
    tables = classes(source).write()
    _, rows, texts, _ = build(task("classification", queries=40, train_texts=40), tables)
    assert all(" train " in row["text"] for row in rows["train"])
    assert {row["text"] for row in texts} == {row["text"] for row in rows["test"]}
    assert {row["field"] for row in texts} == {"text"}
    assert all(row["label"] == int(row["text"].startswith("good")) for row in rows["test"])


def test_one_class_is_a_fault(source, task, build):
    for number in range(5):
        source.add(f"text {number}", label="only")
    with pytest.raises(InputError, match="have one label, 'only'"):
        build(task("clustering", queries=5), source.write())


def test_graded_pairs_keep_their_grade_and_each_text_is_listed_once(source, task, build):
    source.add("a", "b", grade=0.5)
    source.add("a", "c", grade=1.0)
    _, rows, texts, _ = build(task("sts", split="all"), source.write())
    assert {tuple(row.values()) for row in rows["test"]} == {("a", "b", 0.5), ("a", "c", 1.0)}
    assert sorted(row["text"] for row in texts) == ["a", "b", "c"]


@pytest.mark.parametrize("kind", ["retrieval", "classification", "clustering", "sts"])
def test_a_skipped_source_gives_a_task_without_rows(source, task, build, kind):
    folder, _, texts, counts = build(task(kind, queries=5, train_texts=5), source.write())
    assert is_empty(folder)
    assert texts == []
    assert counts["skipped"] is True


def test_a_task_with_rows_is_not_empty(source, task, build):
    assert not is_empty(build(task("retrieval", queries=5), retrieval_source(source).write())[0])
