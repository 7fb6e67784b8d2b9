import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.exclusions import Exclusion
from f2llm.errors import InputError
from f2llm.lineage.find import find_row, find_text
from f2llm.lineage.forget import remains_lines, remains_of, remains_of_source
from f2llm.lineage.holders import Needles, find_holders
from f2llm.lineage.layout import read_layout
from f2llm.lineage.pages import delete_pages
from f2llm.records.files import write_json
from f2llm.records.ids import doc_id

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
    assert [str(path.relative_to(results)) for path in of_row.pages] == pages
    assert of_source.pages == of_row.pages
    line = f"to be deleted     {results.name}/report/toyrun: no job makes it again"
    assert line in remains_lines(of_row, results=results)
    delete_pages(results)
    left = find_holders([results / "report", results / "ablations"], of_row.needles)
    assert [str(one.path.relative_to(results)) for one in left] == ["report/index.html", "report/tables/tuples.parquet"]


def test_a_text_across_two_blocks_of_a_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("f2llm.lineage.holders.BLOCK", 8)
    (tmp_path / "log").write_text("0123456 secret 789")
    assert [holder.where for holder in find_holders([tmp_path], Needles(["secret"], []))] == ["bytes"]
    assert find_holders([tmp_path], Needles(["secrets"], [])) == []


def test_a_table_that_cannot_be_read_stops_the_search(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="nothing is known of what it holds"):
        find_holders([tmp_path], Needles(["secret"], []))
