"""Tasks of local files: all seven kinds through mteb, and what is said of files that cannot be used."""

import json

import pytest

from f2llm.config.benchmarks import TASK_TYPES, Task
from f2llm.errors import InputError
from f2llm.evaluate import batch
from f2llm.evaluate.bootstrap import read_items
from f2llm.evaluate.jobs import Candidate
from f2llm.evaluate.local import build_local_task
from f2llm.records.files import read_json
from f2llm.records.tables import read_table

NUMBERS = range(24)
QUERIES = [{"_id": f"q{n}", "text": f"query {n}"} for n in NUMBERS]
CORPUS = [{"_id": f"d{n}", "title": "Title", "text": f"answer {n}"} for n in NUMBERS]
QRELS = [{"query-id": f"q{n}", "corpus-id": f"d{n}", "score": 1} for n in NUMBERS]
RANKED = [{"query-id": f"q{n}", "corpus-ids": [f"d{n}", f"d{(n + 1) % 24}", f"d{(n + 2) % 24}"]} for n in NUMBERS]
LABELLED = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in NUMBERS]
FILES = {
    "retrieval": {"queries": QUERIES, "corpus": CORPUS, "qrels": QRELS},
    "reranking": {"queries": QUERIES, "corpus": CORPUS, "qrels": QRELS, "top_ranked": RANKED},
    "classification": {"train": LABELLED, "test": [{"text": f"new {n}", "label": "ab"[n % 2]} for n in NUMBERS]},
    "clustering": {"test": [{"sentences": f"text {n}", "labels": "xyz"[n % 3]} for n in NUMBERS]},
    "sts": {"test": [{"sentence1": f"a {n}", "sentence2": f"b {n}", "score": n % 5} for n in NUMBERS]},
    "pairs": {"test": [{"sentence1": f"a {n}", "sentence2": f"b {n}", "labels": n % 2} for n in NUMBERS]},
    "summarisation": {
        "test": [
            {"text": f"t {n}", "human_summaries": [f"h {n}"], "machine_summaries": [f"m {n}", f"k {n}", f"l {n}"],
             "relevance": [1.0, 2.5, 4.0]}
            for n in NUMBERS
        ]
    },
}  # fmt: skip
ITEMS_OF = {"retrieval": 24, "reranking": 24, "classification": 24, "sts": 24}


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(kind, files=None, **changes):
        (tmp_path / kind).mkdir(exist_ok=True)
        for name, rows in (files or FILES[kind]).items():
            (tmp_path / kind / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        task = Task(
            **({"name": f"Local.{kind}", "type": kind, "data": kind, "instruction": "Do it.", "batch": ""} | changes)
        )
        built = tmp_path / "built" / kind
        counts = build_local_task(task, folder=built / "data", texts=built / "texts.parquet")
        return task, built, counts

    return run


def test_all_seven_kinds_are_scored_by_mteb(build, tmp_path, encoder, monkeypatch):
    monkeypatch.setattr(batch, "_encoder", lambda *_, **__: encoder)
    (tmp_path / "model").mkdir()
    candidate = Candidate(
        name="m",
        role="run",
        folder=str(tmp_path / "model"),
        pooling="last",
        query_prompt="",
        max_length=64,
        precision="float32",
    )
    made = [build(kind) for kind in TASK_TYPES]
    batch.evaluate_batch(
        [candidate], [task for task, *_ in made], data=[folder / "data" for _, folder, _ in made],
        scores=tmp_path / "scores", scratch=tmp_path / "scratch", threads=1,
    )  # fmt: skip
    for kind in TASK_TYPES:
        (cell,) = read_json(tmp_path / "scores" / "m" / f"Local.{kind}.json")["scores"]["test"]
        items = read_items(tmp_path / "scores" / "m" / "items" / f"Local.{kind}.parquet")
        assert -1 <= cell["main_score"] <= 1
        assert len(items.score) == ITEMS_OF.get(kind, 0), kind
        if kind in ("retrieval", "reranking", "classification"):
            assert sum(items.score.values()) / 24 == pytest.approx(cell["main_score"], abs=1e-5), kind
    assert "Title answer 3" in encoder.seen


def test_scored_texts_are_listed_and_those_of_the_probe_are_not(build):
    _, folder, _ = build("classification")
    texts = read_table(folder / "texts.parquet")
    assert sorted(texts["text"].to_pylist()) == sorted(f"new {n}" for n in NUMBERS)
    _, folder, _ = build("retrieval")
    assert set(read_table(folder / "texts.parquet")["field"].to_pylist()) == {"query", "corpus"}


def test_csv_with_columns_of_its_own(build, tmp_path):
    (tmp_path / "sts").mkdir()
    (tmp_path / "sts" / "test.csv").write_text("left,right,grade\n" + "".join(f"a {n},b {n},{n}\n" for n in range(5)))
    _, folder, counts = build(
        "sts", {"unused": []}, columns={"sentence1": "left", "sentence2": "right", "score": "grade"}
    )
    assert counts["test"] == 5
    assert '"sentence2": "b 4", "score": 4.0' in (folder / "data" / "test.jsonl").read_text()


@pytest.mark.parametrize(
    ("kind", "files", "said"),
    [
        ("retrieval", {"queries": QUERIES, "corpus": CORPUS}, "has no file qrels"),
        ("sts", {"test": [{"sentence1": "a", "score": 1}]}, "has no column 'sentence2'; its columns are sentence1, score"),
        ("sts", {"test": [*FILES["sts"]["test"], {"sentence1": " ", "sentence2": "b", "score": 1}]}, "row 25: sentence1"),
        ("sts", {"test": [*FILES["sts"]["test"], {"sentence1": "a", "sentence2": "b", "score": "x"}]}, "row 25: score"),
        ("retrieval", FILES["retrieval"] | {"qrels": [{"query-id": "q1", "corpus-id": "d99", "score": 1}]}, "'d99' is not in corpus"),
        ("retrieval", FILES["retrieval"] | {"corpus": [*CORPUS, CORPUS[0]]}, "_id 'd0' is there twice"),
        ("clustering", {"test": [{"sentences": "a", "labels": "x"}] * 3}, "all rows have one labels"),
        ("summarisation", {"test": [FILES["summarisation"]["test"][0] | {"relevance": [1.0]}]}, "relevance has not one number"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_with_their_place(build, kind, files, said):
    with pytest.raises(InputError, match=said):
        build(kind, files)


def test_a_folder_outside_is_refused(build):
    with pytest.raises(InputError, match="no such folder below"):
        build("sts", data="../elsewhere")
