"""Rows of a run's tables: of the table, of an earlier run, of a publication, or not known."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.load import load_run_file
from f2llm.estimate.counts import ExpectedRows, on_disk
from f2llm.records.files import read_json, write_json

ROOT = Path(__file__).parents[3]
RUN = load_run_file(ROOT / "config" / "config.yaml")
PAPER = load_run_file(ROOT / "config" / "f2llm-0.6b.yaml")
NEWS = next(source for source in RUN.sources if source.name == "news")


def write(folder, *, passages, queries):
    folder.mkdir(parents=True)
    for name, rows in (("corpus", passages), ("queries", queries)):
        pq.write_table(pa.table({"text": [f"text {row}" for row in range(rows)]}), folder / f"{name}.parquet")


@pytest.fixture
def finished(tmp_path):
    """A finished run of the one source `news`."""
    run = dataclasses.replace(RUN, sources=(NEWS,), heldout_sources=())
    counts = ExpectedRows(run, results=tmp_path / "results", lock=tmp_path / "none.json")
    write(tmp_path / "results/sources/news", passages=40, queries=30)
    (tmp_path / "results/sources/news/manifest.json").write_text('{"files": [{"bytes": 2000000}]}')
    write(tmp_path / f"results/curated/{counts.curation}/news", passages=20, queries=10)
    mined = tmp_path / f"results/mined/{counts.mining}/news"
    mined.mkdir(parents=True)
    pq.write_table(pa.table({"tuple_id": range(9)}), mined / "tuples.parquet")
    assert counts.record(tmp_path / "lock.json") == 1
    return counts


def after(finished, tmp_path, **changes):
    run = dataclasses.replace(finished.run, **changes)
    return ExpectedRows(run, results=tmp_path / "empty", lock=tmp_path / "lock.json")


def test_tables_are_counted_by_their_footers(finished):
    assert finished.normalised(NEWS)[:2] == (30, 40)
    assert finished.normalised(NEWS).how == "table"
    assert 0 < finished.normalised(NEWS).query_mb < 0.01


def test_half_of_the_tables_is_none(tmp_path):
    write(tmp_path / "a", passages=1, queries=1)
    (tmp_path / "a/queries.parquet").unlink()
    assert on_disk(tmp_path / "a") is None


def test_damaged_files_do_not_stop_planning(finished, tmp_path):
    for path in finished.results.rglob("*.*"):
        if path.is_file():
            path.write_bytes(b"")
    counts = after(finished, tmp_path)
    counts.results = finished.results
    assert {counts.normalised(NEWS).how, counts.tuples(NEWS).how} == {"recorded"}
    assert counts.raw_mb(NEWS) == 2.0


def test_an_earlier_run_with_the_same_settings_is_exact(finished, tmp_path):
    counts = after(finished, tmp_path)
    assert counts.normalised(NEWS)[:2] == (30, 40)
    assert counts.curated(NEWS)[:2] == (10, 20)
    assert counts.tuples(NEWS).queries == 9
    assert {rows.how for rows in (counts.normalised(NEWS), counts.curated(NEWS), counts.tuples(NEWS))} == {"recorded"}
    assert counts.raw_mb(NEWS) == 2.0


def test_other_settings_take_its_shares_as_a_guide(finished, tmp_path):
    counts = after(finished, tmp_path, seed=7)
    assert counts.normalised(NEWS).how == "recorded"  # no seed decides what is read
    assert counts.curated(NEWS)[:2] == (24, 40)  # 0.8 of 30 queries
    assert counts.tuples(NEWS)[:1] == (22,)  # 9 of 10 of these
    assert counts.tuples(NEWS).how == "about"


def test_caps_hold_in_a_guess(finished, tmp_path):
    capped = dataclasses.replace(NEWS, max_queries=5, max_passages=6)
    assert after(finished, tmp_path, sources=(capped,)).curated(capped)[:2] == (5, 6)


def test_another_adapter_makes_the_record_a_guide(finished, tmp_path):
    other = dataclasses.replace(NEWS, options={"other": True})
    assert after(finished, tmp_path, sources=(other,)).normalised(other).how == "about"


def test_a_publication_states_training_rows_and_unknown_is_none(tmp_path):
    counts = ExpectedRows(PAPER, results=tmp_path, lock=tmp_path / "none.json")
    squad = next(source for source in PAPER.sources if source.name == "squad")
    assert counts.tuples(squad) == counts.curated(squad) == counts.normalised(squad)
    assert (counts.tuples(squad).queries, counts.tuples(squad).how) == (squad.expected.queries, "stated")
    assert ExpectedRows(RUN, results=tmp_path, lock=tmp_path / "none.json").curated(NEWS) is None


def test_recording_keeps_sources_of_other_runs(finished, tmp_path):
    lock = read_json(tmp_path / "lock.json")
    lock["normalised"]["other"] = lock["normalised"]["news"]
    write_json(tmp_path / "lock.json", lock)
    again = ExpectedRows(finished.run, results=finished.results, lock=tmp_path / "lock.json")
    assert again.record(tmp_path / "lock.json") == 2


def test_the_shipped_record_is_that_of_the_embedded_default(tmp_path):
    counts = ExpectedRows(RUN, results=tmp_path, lock=ROOT / "config" / "counts.lock.json")
    rows = [counts.tuples(source) for source in RUN.sources]
    assert {one.how for one in rows} == {"recorded"}
    assert {counts.normalised(source).how for source in (*RUN.sources, *RUN.heldout_sources)} == {"recorded"}
    assert counts.geometry(RUN.backbone).hidden == 576


def test_a_table_that_is_made_meanwhile_is_seen(finished, tmp_path):
    from f2llm.estimate.sizing import Sizes

    counts = ExpectedRows(finished.run, results=tmp_path / "new", lock=tmp_path / "none.json")
    sizes = Sizes(counts)
    before = sizes.cost("curate_source", {"source": "news"})
    write(tmp_path / "new/sources/news", passages=40, queries=30)
    assert not before.known and sizes.cost("curate_source", {"source": "news"}).known
