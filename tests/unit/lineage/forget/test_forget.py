import hashlib
import json
import shutil
import subprocess

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.__main__ import main
from f2llm.config.exclusions import Exclusion
from f2llm.lineage.forget.files import copies, delete_pages
from f2llm.lineage.forget.holders import Needles, find_holders
from f2llm.lineage.forget.rebuild import rebuild
from f2llm.lineage.forget.remains import remains_lines, remains_of, remains_of_source
from f2llm.lineage.trace.find import find_ids, find_row, find_text
from f2llm.records.errors import InputError
from f2llm.records.files import write_json
from f2llm.records.ids import doc_id, query_id
from f2llm.runs.layout import read_layout

ANSWER = "The <script>alert(1)</script> answer"


def paths(remains, results):
    return {str(holder.path.relative_to(results)) for holder in remains.holders}


def test_a_text_is_found_in_every_table_and_file_that_holds_it(results):
    layout = read_layout(results, run="toyrun")
    (results / "report").mkdir()
    (results / "report/index.html").write_text("<p>The &lt;script&gt;alert(1)&lt;/script&gt; answer</p>")
    (results / "scores/notes.json").write_text(json.dumps({"seen": ANSWER}))
    (results / "elsewhere.txt").write_text("nothing of it")
    found = remains_of(layout, find_text(layout, ANSWER), reason="r")
    assert paths(found, results) == {
        "sources/toy/corpus.parquet", "sources/toy/queries.parquet", "sources/toy/origins.parquet",
        "curated/c-1/toy/corpus.parquet", "curated/c-1/toy/queries.parquet", "curated/c-1/toy/hits.parquet",
        "mined/m-1/toy/tuples.parquet", "mined/m-1/toy/rejected.parquet", "runs/toyrun/plan.parquet",
        "report/index.html", "scores/notes.json",
        *(str(path.relative_to(results)) for path in results.glob("vectors/store/finder/k/*.ids")),
    }  # fmt: skip
    assert found.exclusions == [Exclusion(source="toy", id=doc_id(ANSWER).hex(), reason="r")]


def test_a_row_is_excluded_by_its_place(results):
    layout = read_layout(results, run="toyrun")
    found = remains_of(layout, find_row(layout, "toy.jsonl", 7), reason="r", row=("toy.jsonl", 7))
    assert found.exclusions == [Exclusion(source="toy", file="toy.jsonl", row=7, reason="r")]
    assert {trace.text for trace in found.traces} == {"what is asked?", ANSWER}


def test_a_source_is_all_below_its_folders(results):
    (results / "sources/toy/raw").mkdir()
    (results / "sources/toy/raw/toy.jsonl").write_text("{}")
    found = remains_of_source(read_layout(results, run="toyrun"), "toy", reason="r")
    assert paths(found, results) >= {
        "sources/toy/corpus.parquet",
        "curated/c-1/toy/hits.parquet",
        "mined/m-1/toy/tuples.parquet",
    }
    assert [path.name for path in found.raw] == ["toy.jsonl"]
    assert found.exclusions == [Exclusion(source="toy", reason="r")]
    lines = remains_lines(found, results=results)
    assert lines[-1] == "to exclude        toy: all of it"


def test_pages_that_no_job_makes_are_listed_and_deleted_and_hold_nothing_any_more(results):
    for name in ("report/index.html", "report/toyrun/index.html", "report/compare.html", "ablations/toyrun/index.html"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(ANSWER)
    for name in ("report/tables", "report/toyrun/tables", "report/compare"):
        (results / name).mkdir()
        pq.write_table(pa.table({"text": [ANSWER]}), results / name / "tuples.parquet")
    job = {
        "rule": "build_report", "inputs": {}, "params": {}, "code": "c", "wildcards": {}, "versions": {}, "counts": {}, "seconds": 1.0,
        "outputs": {"results/report/index.html": "a" * 64, "results/report/tables": "b" * 64},
    }  # fmt: skip
    write_json(results / "lineage/jobs/build_report/toyrun.json", job)
    layout = read_layout(results, run="toyrun")
    of_row, of_source = (
        remains_of(layout, find_text(layout, ANSWER), reason="r"),
        remains_of_source(layout, "toy", reason="r"),
    )
    pages = ["ablations/toyrun/index.html", "report/compare", "report/compare.html", "report/toyrun"]
    deleted = [f"to be deleted     {results.name}/{path}: no job makes it again" for path in pages]
    for remains in (of_row, of_source):
        lines = remains_lines(remains, results=results)
        assert [line for line in lines if line.startswith("to be deleted")] == deleted
    delete_pages(results)
    left = find_holders([results / "report", results / "ablations"], of_row.needles)
    assert [str(one.path.relative_to(results)) for one in left] == ["report/index.html", "report/tables/tuples.parquet"]


def test_a_text_across_two_blocks_of_a_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("f2llm.lineage.forget.holders.BLOCK", 8)
    (tmp_path / "log").write_text("0123456 secret 789")
    assert [holder.where for holder in find_holders([tmp_path], Needles(["secret"], []))] == ["bytes"]
    assert find_holders([tmp_path], Needles(["secrets"], [])) == []


def test_a_table_that_cannot_be_read_stops_the_search(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="nothing is known of what it holds"):
        find_holders([tmp_path], Needles(["secret"], []))


def test_ids_are_looked_up_in_records_tables_and_texts_however_many_there_are(tmp_path):
    ids = [number.to_bytes(16, "little") for number in range(100_000)]
    last = ids[-1]
    (tmp_path / "a.ids").write_bytes(b"\xff" * 16 + last)
    (tmp_path / "b.ids").write_bytes(b"\xff" * 8 + last + b"\xff" * 8)  # the same bytes, but no record
    (tmp_path / "c.log").write_text(f"ff{last.hex()}")
    (tmp_path / "d.log").write_text("f" * 200_000)
    pq.write_table(pa.table({"tuple_id": [f"{last.hex()}"], "said": ["f" * 64]}), tmp_path / "e.parquet")
    found = find_holders([tmp_path], Needles([], ids))
    assert [(one.path.name, one.where) for one in found] == [
        ("a.ids", "bytes"),
        ("c.log", "bytes"),
        ("e.parquet", "tuple_id"),
    ]


def test_an_id_across_two_blocks_of_a_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("f2llm.lineage.forget.holders.BLOCK", 48)
    identity = doc_id(ANSWER)
    (tmp_path / "log").write_text("-" * 40 + identity.hex())
    (tmp_path / "z.ids").write_bytes(b"\xff" * 64 + identity)
    assert [one.path.name for one in find_holders([tmp_path], Needles([], [identity]))] == ["log", "z.ids"]


def test_whole_texts_are_looked_up_in_columns_of_texts_alone(tmp_path):
    pq.write_table(pa.table({"split": ["train"], "test_text": ["a train"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"split": ["test"], "test_text": ["train"]}), tmp_path / "b.parquet")
    found = find_holders([tmp_path], Needles([], [], {"train"}))
    assert [(one.path.name, one.where) for one in found] == [("b.parquet", "test_text")]


def test_archives_are_not_searched_as_bytes(tmp_path):
    for name in ("a.whl", "a.jsonl.gz", "a.jsonl"):
        (tmp_path / name).write_text("secret")
    assert [one.path.name for one in find_holders([tmp_path], Needles(["secret"], []))] == ["a.jsonl"]


@pytest.mark.parametrize("arguments", [[], ["0" * 32, "--source", "toy"], ["--text", "a", "--row", "toy.jsonl:7"]])
def test_exactly_one_thing_is_forgotten(results, capsys, arguments):
    assert main(["forget", "--run", "toyrun", "--results", str(results), *arguments]) == 1
    assert "name one thing to forget: an id, or one of --row, --text, --source" in capsys.readouterr().err


def test_a_tuple_is_refused_with_the_texts_that_it_is_made_of(results):
    layout = read_layout(results, run="toyrun")
    (made,) = find_ids(layout, pq.read_table(results / "mined/m-1/toy/tuples.parquet")["tuple_id"].to_pylist())
    query = query_id("retrieval", "what is asked?").hex()
    with pytest.raises(
        InputError, match=f"is that of a tuple of toy.* query {query} or its positive {doc_id(ANSWER).hex()}"
    ):
        remains_of(layout, [made], reason="r")


BYTES = b"the rows of a wheel"


def fetched(results, *names, rows=BYTES):
    """Have `rows` as the fetched file of these sources, linked from the store; return its place there."""
    sha256 = hashlib.sha256(rows).hexdigest()
    stored = results / f".cache/fetched/{sha256}/toy.whl"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(rows)
    for name in names:
        file = {"name": "toy.whl", "bytes": len(rows), "sha256": sha256}
        write_json(results / f"sources/{name}/manifest.json", {"source": name, "licence": {"id": "x"}, "files": [file]})
        (results / f"sources/{name}/raw").mkdir(exist_ok=True)
        (results / f"sources/{name}/raw/toy.whl").hardlink_to(stored)
    return stored


@pytest.fixture
def made_again(tmp_path, results_writer, monkeypatch):
    """A results folder below a checkout in which snakemake makes nothing."""
    monkeypatch.setattr("subprocess.run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    (tmp_path / "config").mkdir()
    return results_writer(tmp_path / "results")


def forget_toy(results, *, delete_raw):
    layout = read_layout(results, run="toyrun")
    return rebuild(layout, remains_of_source(layout, "toy", reason="r"), delete_raw=delete_raw)


def test_the_store_of_fetched_files_is_listed_and_deleted_with_them(made_again):
    stored = fetched(made_again, "toy")
    layout = read_layout(made_again, run="toyrun")
    listed = remains_lines(remains_of_source(layout, "toy", reason="r"), results=made_again)
    assert f"came from         {stored.relative_to(made_again.parent)}" in listed
    left = forget_toy(made_again, delete_raw=True)
    assert not stored.parent.exists()
    assert not any("toy.whl" in line for line in left)


def test_without_delete_raw_fetched_files_are_named_as_still_there(made_again):
    stored = fetched(made_again, "toy")
    left = forget_toy(made_again, delete_raw=False)
    for path in (stored, made_again / "sources/toy/raw/toy.whl"):
        assert f"{path.relative_to(made_again.parent)}: a fetched file that it came from" in left


def test_a_stored_file_that_another_source_or_model_has_is_kept_and_named(made_again):
    stored = fetched(made_again, "toy", "kept")
    write_json(
        made_again / "models/m/manifest.json", json.loads((made_again / "sources/kept/manifest.json").read_text())
    )
    left = forget_toy(made_again, delete_raw=True)
    assert stored.read_bytes() == BYTES
    what = "a fetched file that it came from, kept for"
    assert f"{stored.relative_to(made_again.parent)}: {what} model m, source kept" in left
    assert f"results/sources/kept/raw/toy.whl: {what} source kept" in left
    assert not (made_again / "sources/toy/raw").exists()


def test_a_file_that_several_forgotten_sources_came_from_is_kept_for_none_of_them(results):
    stored = fetched(results, "toy", "other")
    found = copies(read_layout(results, run="toyrun"), {"toy": {"toy.whl"}, "other": None})
    assert [(one.path, one.users) for one in found] == [(stored, [])]
    assert copies(read_layout(results, run="toyrun"), {"toy": {"another"}, "other": set()}) == []


def test_texts_and_ids_of_a_source_are_found_in_the_tables_of_others(results):
    (results / "curated/c-1/other").mkdir()
    pq.write_table(pa.table({"test_text": [ANSWER]}), results / "curated/c-1/other/hits.parquet")
    kept = pa.array([doc_id("A copy")], pa.binary(16))
    pq.write_table(pa.table({"kept_id": kept}), results / "curated/c-1/other/removed.parquet")
    (results / "scores/items.jsonl").write_text(json.dumps({"_id": query_id("sts", "held out?").hex()}))
    found = remains_of_source(read_layout(results, run="toyrun"), "toy", reason="r")
    assert paths(found, results) >= {
        "curated/c-1/other/hits.parquet", "curated/c-1/other/removed.parquet", "scores/items.jsonl", "runs/toyrun/plan.parquet",
        *(str(path.relative_to(results)) for path in results.glob("vectors/store/finder/k/*.ids")),
    }  # fmt: skip


def two_runs(results):
    """Have a second run of the same plan, each with a checkpoint and a model."""
    shutil.copytree(results / "runs/toyrun", results / "runs/second")
    for run in ("toyrun", "second"):
        for name in ("checkpoints/a/step_000001", "model"):
            (results / "runs" / run / name).mkdir(parents=True)
            (results / "runs" / run / name / "weights.safetensors").write_bytes(b"")


LEARNED = [f"runs/{run}/{name}" for run in ("second", "toyrun") for name in ("checkpoints/a/step_000001", "model")]


def test_all_runs_that_learned_from_a_text_or_a_source_are_listed(results):
    two_runs(results)
    layout = read_layout(results, run="toyrun")
    for found in (
        remains_of(layout, find_text(layout, ANSWER), reason="r"),
        remains_of_source(layout, "toy", reason="r"),
    ):
        lines = remains_lines(found, results=results)
        assert [line.split()[-1] for line in lines if line.startswith("learned from it")] == LEARNED
        assert "runs/second/plan.parquet" in paths(found, results)


def test_a_run_that_cannot_be_read_is_listed_as_one_that_may_have_learned(results):
    two_runs(results)
    (results / "runs/second/run.json").write_text("{}")
    found = remains_of_source(read_layout(results, run="toyrun"), "toy", reason="r")
    assert [str(path.relative_to(results)) for one in found.learners for path in one.made] == LEARNED


def test_plans_and_models_of_other_runs_are_named_as_still_there(made_again):
    two_runs(made_again)
    for key in ("t-1", "t-2"):
        (made_again / "tokens" / key / "toy").mkdir(parents=True)
        (made_again / "tokens" / key / "toy/passages.bin").write_bytes(b"")
    layout = read_layout(made_again, run="toyrun")
    left = rebuild(layout, remains_of(layout, find_text(layout, "Another answer"), reason="r"), delete_raw=True)
    assert "results/runs/second/model: run second learned from it" in left
    assert "results/runs/second/checkpoints/a/step_000001: run second learned from it" in left
    assert (
        "results/runs/second/plan.parquet: run second learned from it" in left
    )  # a negative: no id of it is in the plan
    assert "results/tokens/t-2/toy/passages.bin: tokens of its texts" in left
    assert not any("tokens/t-1" in line for line in left)
    assert not any("toyrun/checkpoints" in line for line in left)
