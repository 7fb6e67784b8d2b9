"""Tasks of local files: all seven kinds through mteb, and what is said of files that cannot be used."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from f2llm.config.benchmarks import TASK_TYPES, Task
from f2llm.config.candidates import Candidate
from f2llm.config.stanzas import filled
from f2llm.evaluate import batch
from f2llm.evaluate.bootstrap import read_items
from f2llm.evaluate.tasks.local import build_local_task
from f2llm.records.errors import InputError
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
        task = filled(
            Task,
            **({"name": f"Local.{kind}", "type": kind, "data": kind, "instruction": "Do it.", "batch": ""} | changes),
        )
        built = tmp_path / "built" / kind
        counts = build_local_task(task, folder=built / "data", texts=built / "texts.parquet")
        return task, built, counts

    return run


def test_all_seven_kinds_are_scored_by_mteb(build, tmp_path, encoder, monkeypatch):
    monkeypatch.setattr(batch, "load_encoder", lambda *_, **__: encoder)
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
        scores=tmp_path / "scores", scratch=tmp_path / "scratch", threads=1, store=tmp_path / "store",
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


def test_a_title_stands_before_its_text_only_where_there_is_one(build, tmp_path):
    titles = {0: {}, 1: {"title": None}, 2: {"title": " "}, 3: {"title": 7}, 4: {"title": "Lid"}}
    corpus = [{"_id": f"d{n}", "text": f"answer {n}", **titles.get(n, {})} for n in NUMBERS]
    _, folder, _ = build("retrieval", FILES["retrieval"] | {"corpus": corpus})
    found = [json.loads(line)["text"] for line in (folder / "data" / "corpus.jsonl").open()]
    assert found[:6] == ["answer 0", "answer 1", "answer 2", "answer 3", "Lid answer 4", "answer 5"]


def test_a_column_of_titles_can_be_named(build):
    corpus = [{"_id": f"d{n}", "headline": "Big", "text": f"answer {n}"} for n in NUMBERS]
    files = FILES["retrieval"] | {"corpus": corpus}
    _, folder, _ = build("retrieval", files, columns={"title": "headline"})
    assert '"Big answer 0"' in (folder / "data" / "corpus.jsonl").read_text()
    with pytest.raises(InputError, match=r"corpus.jsonl has no column 'lid'; its columns are _id, headline, text"):
        build("retrieval", files, columns={"title": "lid"})


def test_labels_are_kept_as_they_are_written(build, tmp_path):
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": "01"}, {"text": "c", "label": "1.0"}]
    _, folder, _ = build("classification", {"train": rows, "test": rows})
    header = yaml.safe_load((folder / "data" / "README.md").read_text().split("---")[1])
    (label,) = (one["dtype"] for one in header["dataset_info"][0]["features"] if one["name"] == "label")
    assert label == {"class_label": {"names": {0: "01", 1: "1", 2: "1.0"}}}


def test_a_whole_number_is_one_label_and_one_id_whatever_its_type(build):
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": 2.0}, {"text": "c", "label": 1.0}]
    _, folder, _ = build("classification", {"train": rows, "test": rows})
    header = yaml.safe_load((folder / "data" / "README.md").read_text().split("---")[1])
    (label,) = (one["dtype"] for one in header["dataset_info"][0]["features"] if one["name"] == "label")
    assert label == {"class_label": {"names": {0: "1", 1: "2"}}}


@pytest.mark.parametrize("name", ["test.json", "test.TSV", "test.tab", "test.csv.gz", "test.xlsx", "test.ndjson"])
def test_tasks_are_read_of_the_formats_that_sources_have(build, tmp_path, name):
    (tmp_path / "sts").mkdir()
    frame = pd.DataFrame(FILES["sts"]["test"])
    path, suffix = tmp_path / "sts" / name, name.split(".")[1].lower()
    if suffix == "xlsx":
        frame.to_excel(path, index=False)
    elif "json" in suffix:
        frame.to_json(path, orient="records", lines=suffix == "ndjson")
    else:
        frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    assert build("sts", {"unused": []})[2]["test"] == 24


def test_a_row_with_a_comma_too_many_or_too_few_is_a_fault(build, tmp_path):
    (tmp_path / "sts").mkdir()
    (tmp_path / "sts" / "test.csv").write_text("sentence1,sentence2,score\na,b,c,1\na,b\na,b,2\n")
    with pytest.raises(InputError) as found:
        build("sts", {"unused": []})
    many, few = (fault.split(": ", 2)[2] for fault in found.value.faults)
    assert many.startswith("test.csv: row 1 (line 2): 4 fields for 3 columns")
    assert few == "test.csv: row 2: row has fewer fields than there are columns; mend this row"


def test_hidden_files_are_no_part_of_a_task(build, tmp_path):
    (tmp_path / "sts/.ipynb_checkpoints").mkdir(parents=True)
    (tmp_path / "sts/.ipynb_checkpoints/test.jsonl").write_text("{}")
    (tmp_path / "sts/._test.jsonl").write_text("{}")
    assert build("sts")[2]["test"] == 24


def test_parquet_without_a_value_keeps_the_numbers_beside_it(build, tmp_path):
    (tmp_path / "clustering").mkdir()
    pq.write_table(
        pa.table({"sentences": ["a", "b", "c"], "labels": [1, None, 2]}), tmp_path / "clustering/test.parquet"
    )
    with pytest.raises(InputError) as found:
        build("clustering", {"unused": []})
    assert [fault.partition("test.parquet: ")[2] for fault in found.value.faults] == [
        "row 2: labels: None is no label: neither a text nor a whole number; mend this row"
    ]


def bad(kind, part, change, row=2):
    """Return the kind's files with one row changed, and added at the end if there is none of this number."""
    rows = FILES[kind][part]
    changed = rows[row - 1 : row] or rows[:1]
    return kind, FILES[kind] | {part: [*rows[: row - 1], changed[0] | change, *rows[row:]]}


def all_of(kind, part, rows):
    return kind, FILES[kind] | {part: rows}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (bad("pairs", "test", {"labels": 0.5}), "test.jsonl: row 2: labels: 0.5 is neither 0 nor 1; mend this row"),
        (bad("pairs", "test", {"labels": "yes"}), "test.jsonl: row 2: labels: 'yes' is neither 0 nor 1; mend this row"),
        (bad("pairs", "test", {"labels": "0.0"}), "test.jsonl: row 2: labels: '0.0' is neither 0 nor 1; mend this row"),
        (bad("pairs", "test", {"labels": None}), "test.jsonl: row 2: labels: None is neither 0 nor 1; mend this row"),
        (bad("pairs", "test", {"labels": 2}), "test.jsonl: row 2: labels: 2 is neither 0 nor 1; mend this row"),
        (bad("sts", "test", {"score": None}), "test.jsonl: row 2: score: None is not a finite number; mend this row"),
        (bad("classification", "train", {"label": None}), "train.jsonl: row 2: label: None is no label: neither a text nor a whole number; mend this row"),
        (bad("classification", "test", {"label": 1.5}), "test.jsonl: row 2: label: 1.5 is no label: neither a text nor a whole number; mend this row"),
        (bad("classification", "test", {"label": "z"}), "test.jsonl: row 2: label 'z' is not in train, so no model can know it; add such rows there, or take this one out"),
        (bad("clustering", "test", {"labels": True}), "test.jsonl: row 2: labels: True is no label: neither a text nor a whole number; mend this row"),
        (bad("retrieval", "queries", {"_id": "q0"}, row=25), "queries.jsonl: row 25: _id 'q0' is there twice; give each row its own"),
        (bad("retrieval", "qrels", {"score": 0}), "qrels.jsonl: row 2: query-id 'q1' has no judgement above 0; judge a passage relevant, or take its rows out"),
        (bad("retrieval", "qrels", {"score": 2}, row=25), "qrels.jsonl: row 25: query-id 'q0' with corpus-id 'd0' is there twice; keep one"),
        (bad("reranking", "top_ranked", {}, row=25), "top_ranked.jsonl: row 25: query-id 'q0' is there twice; give all its passages in one row"),
        (bad("reranking", "top_ranked", {"corpus-ids": ["d1", "d1"]}), "top_ranked.jsonl: row 2: corpus-id 'd1' is there twice; list each passage once"),
        (bad("reranking", "top_ranked", {"corpus-ids": ["d1", "x"]}), "top_ranked.jsonl: row 2: corpus-id 'x' is not in corpus; mend this row"),
        (all_of("reranking", "top_ranked", RANKED[:23]), "top_ranked.jsonl: no row is for query-id 'q23', which row 24 of qrels judges; add one"),
        (all_of("summarisation", "test", [FILES["summarisation"]["test"][0] | {"relevance": [1, 1, 1]}]), "test.jsonl: no row has two different numbers in relevance; nothing can be scored"),
        (all_of("sts", "test", [["a", "b", 1]]), """test.jsonl: line 1: not a JSON object ('["a", "b", 1]'); write {...}, or name its entries in the stanza's option `columns`"""),
        (all_of("sts", "test", [*FILES["sts"]["test"], 7]), "test.jsonl: line 25: not a JSON object ('7'); write {...}"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_scored_is_one_fault(build, case, said):
    kind, files = case
    with pytest.raises(InputError) as found:
        build(kind, files)
    assert found.value.faults == (f"benchmark task Local.{kind}: {kind}: {said}",)


def test_faults_of_all_files_are_said_at_once(build):
    files = {
        "queries": [7],
        "corpus": [{"_id": "d", "text": ""}],
        "qrels": [{"query-id": "q", "corpus-id": "d", "score": "x"}],
    }
    with pytest.raises(InputError) as found:
        build("retrieval", files)
    assert [fault.split(": ")[2] for fault in found.value.faults] == ["queries.jsonl", "corpus.jsonl", "qrels.jsonl"]


def test_queries_without_any_judgement_are_left_to_mteb_which_does_not_ask_them(build):
    assert build("retrieval", FILES["retrieval"] | {"qrels": QRELS[:6]})[2]["qrels"] == 6


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
