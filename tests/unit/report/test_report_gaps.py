"""A report of a run half done, of deleted tables, and of foreign files says what is missing and goes on."""

import re
import shutil

import pytest

from f2llm.records.files import read_json, write_json
from f2llm.records.tables import read_table
from f2llm.report.report import build_report


def page(results, **changes):
    jobs = [str(path) for path in sorted(results.glob("*.json"))]
    found = build_report(
        results, **({"run": "toyrun", "heldout": [], "jobs": jobs, "output": results / "report/index.html"} | changes)
    )
    return (results / "report/index.html").read_text(), found["gaps"]


def missing(text):
    return re.findall(r'<p class="gap">Missing: (.*?)</p>', text)


def test_a_whole_run_has_no_gaps(results):
    text, gaps = page(results)
    assert missing(text) == [] and gaps == 0


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("sources/toy/queries.parquet", "funnel"),
        ("curated/c-1/toy/removed.parquet", "removed"),
        ("curated/c-1/toy/hits.parquet", "removed"),
        ("shared/c-1/shared.json", "removed"),
        ("mined/m-1/toy/tuples.parquet", "funnel"),
        ("mined/m-1/toy/rejected.parquet", "mining"),
        ("runs/toyrun/plan.parquet", "funnel"),
        ("runs/toyrun/metrics.parquet", "training"),
        ("runs/toyrun/validation.parquet", "training"),
        ("scores/scoreboard.json", "scores"),
        ("vectors/v-1/c-1/toy.json", "map"),
        ("sources/toy/manifest.json", "licences"),
    ],
)
def test_a_deleted_or_foreign_table_is_named_by_its_section_and_the_rest_is_there(results, path, section):
    (results / path).unlink()
    text, gaps = page(results)
    assert gaps
    own = re.search(rf'<section id="{section}">.*?\n<p class="file">.*?</section>', text, re.DOTALL)[0]
    assert any(path in note for note in missing(own)), missing(text)
    assert "Incomplete: " in text
    (results / path).write_bytes(b"not what it says\xff")
    text, _ = page(results)
    assert any("cannot be read" in note for note in missing(text))


def test_a_run_that_has_only_been_planned_has_a_report(results):
    for folder in ("runs/toyrun/metrics.parquet", "runs/toyrun/validation.parquet", "scores", "mined", "curated"):
        path = results / folder
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    text, gaps = page(results)
    assert gaps >= 5
    (row,) = read_table(results / "report/tables/funnel.parquet").to_pylist()
    assert (row["normalised"], row["curated"], row["tuples"], row["planned"]) == (3, None, None, 2)


def test_a_scoreboard_of_another_run_is_not_taken_for_that_of_this(results):
    path = results / "scores/scoreboard.json"
    write_json(path, read_json(path) | {"run": "other"})
    text, _ = page(results)
    assert "it is that of run other" in text
    assert "50.0" not in re.search(r'class="tiles".*?class="warn', text, re.DOTALL)[0]


def test_foreign_files_in_results_change_nothing(results):
    before, _ = page(results)
    (results / "sources/toy/notes.txt").write_text("mine")
    (results / "curated/c-1/other").mkdir()
    (results / "report/tables/mine.csv").write_text("mine")
    (results / "runs/junk").mkdir()
    assert page(results)[0] == before


def test_a_manifest_of_a_job_that_is_none_is_said(results):
    (results / "bad.json").write_text("{")
    text, _ = page(results)
    assert any("manifest: cannot be read" in note for note in missing(text))


def test_a_vector_store_that_was_deleted_is_said_with_what_to_do(results):
    shutil.rmtree(results / "vectors/store")
    text, _ = page(results)
    assert any("vectors are not there" in note and "embed_source" in note for note in missing(text))
