"""Forgetting in a real toy run: the files are searched as bytes, and what does not depend on it stays as it was."""

import json
import subprocess
import sys

import pytest

from f2llm.lineage.forget.holders import Needles, find_holders
from f2llm.records.files import read_json, sha256_file
from f2llm.records.ids import doc_id, query_id
from f2llm.records.tables import read_table

SHARED = "A passage that many queries share, and that has to go."


def forget(toy, *arguments):
    command = [sys.executable, "-m", "f2llm", "forget", "--run", "toy", *arguments]
    done = subprocess.run(command, cwd=toy.folder, env=toy.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def tables(toy):
    """Return path -> hash of all tables and tokens of the sources."""
    patterns = ("sources/*/*.parquet", "curated/*/*/*.parquet", "mined/*/*/*.parquet", "tokens/*/*/*")
    found = [path for pattern in patterns for path in sorted((toy.folder / "results").glob(pattern))]
    return {str(path.relative_to(toy.folder)): sha256_file(path) for path in found}


def holders(toy, *texts):
    ids = [identity for text in texts for identity in (doc_id(text), query_id("retrieval", text))]
    return [
        str(one.path.relative_to(toy.folder)) for one in find_holders([toy.folder / "results"], Needles(texts, ids))
    ]


def planned_row(toy):
    """Return number, query and answer of a row that training saw."""
    results = toy.folder / "results"
    plan = read_table(results / "runs/toy/plan.parquet").to_pylist()
    row = next(row["query_row"] for row in plan if row["source"] == "toy_pairs")
    (table,) = results.glob("curated/*/toy_pairs/queries.parquet")
    query = read_table(table)["text"][row].as_py()
    lines = list(map(json.loads, (toy.folder / "data/pairs.jsonl").read_text().splitlines()))
    return next((number, query, line["positive"]) for number, line in enumerate(lines) if line["query"] == query)


def test_without_rebuild_nothing_is_changed_and_all_that_holds_it_is_listed(finished):
    before = tables(finished)
    _, query, _ = planned_row(finished)
    said = forget(finished, "--text", query)
    assert tables(finished) == before
    assert not (finished.folder / "config/exclude.yaml").exists()
    for path in ("sources/toy_pairs/queries.parquet", "sources/toy_pairs/raw/pairs.jsonl"):
        assert path in said
    assert "to exclude        toy_pairs: text" in said
    assert "learned from it   runs/toy/model" in said


def test_a_row_is_gone_from_everything_and_all_else_is_as_it_was(copied):
    before = tables(copied)
    row, *texts = planned_row(copied)
    page = copied.folder / "results/report/toy/index.html"  # as `f2llm report toy` writes it; no job does
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(texts[0])
    assert len(holders(copied, *texts)) > 5
    said = forget(copied, "--row", f"pairs.jsonl:{row}", "--rebuild", "--delete-raw")
    assert holders(copied, *texts) == []
    assert "to be deleted     results/report/toy" in said
    assert not page.exists()
    assert "nothing of it is left" in said
    after = tables(copied)
    own = {path: digest for path, digest in before.items() if "/toy_pairs/" not in path}
    assert {path: digest for path, digest in after.items() if "/toy_pairs/" not in path} == own
    assert read_table(copied.folder / "results/sources/toy_pairs/queries.parquet").num_rows == 143
    counts = read_json(copied.folder / "results/lineage/jobs/normalise_source/toy_pairs.json")["counts"]
    assert counts["queries_skipped"] == counts["passages_skipped"] == {"excluded on request": 1}
    assert copied.planned() == {}


def test_a_document_that_many_queries_share_takes_them_along(fresh):
    path = fresh.folder / "data/pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:5]:
        row["positive"] = SHARED
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fresh.run()
    said = forget(fresh, "--text", SHARED, "--rebuild", "--delete-raw")
    # What is excluded is named in manifests by its id alone.
    assert [path for path in holders(fresh, SHARED) if not path.startswith("results/lineage/")] == []
    assert find_holders([fresh.folder / "results"], Needles([SHARED], [])) == []
    assert "nothing of it is left" in said
    assert fresh.planned() == {}


def test_a_source_takes_its_tasks_along(copied):
    texts = read_table(copied.folder / "results/sources/toy_topics/queries.parquet")["text"].to_pylist()
    said = forget(copied, "--source", "toy_topics", "--reason", "licence withdrawn", "--rebuild", "--delete-raw")
    assert "toy_topics: all of it" in said
    results = copied.folder / "results"
    assert not [path for path in results.rglob("toy_topics") if path.is_dir() and any(path.rglob("*.parquet"))]
    ids = [identity for text in texts for identity in (doc_id(text), query_id("clustering", text))]
    assert find_holders([results], Needles([], ids)) == []
    assert "toy_topics: excluded: licence withdrawn" in (results / "report/index.html").read_text()
    assert "ToyTopics" not in {row["task"] for row in read_json(results / "scores/scoreboard.json")["tasks"]}
    assert copied.planned() == {}


@pytest.mark.parametrize(
    "arguments", [("--text", "no such text"), ("--row", "pairs.jsonl:99999"), ("--source", "toy_paris")]
)
def test_what_is_not_there_is_refused_with_what_is(finished, arguments):
    command = [sys.executable, "-m", "f2llm", "forget", "--run", "toy", *arguments]
    done = subprocess.run(
        command, cwd=finished.folder, env=finished.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
