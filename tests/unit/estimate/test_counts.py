"""Rows of a run's tables: of the table, of an earlier run, of a publication, or not known."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from f2llm.config.fetch import reading_key
from f2llm.config.load import load_run_file
from f2llm.estimate.counts import ExpectedRows, on_disk
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.probe import ProbedPlace, ProbedRows, ProbeRecord, write_probe

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


SQUAD, FEVER = (next(source for source in PAPER.sources if source.name == name) for name in ("squad", "fever"))


def probed(folder, source, rows, **key):
    name = reading_key(source.fetch, **{"adapter": source.adapter, "options": source.options} | key)
    place = ProbedPlace("datasets/x@main", "0" * 40, 2, 16_300_000, 0)
    write_probe(
        folder / "probe.json", [ProbeRecord("source", source.name, name, "2026-11-30", (place,), rows, {}, 9, (), ())]
    )
    return ExpectedRows(PAPER, results=folder, lock=folder / "none.json")


def test_a_probe_tells_bytes_and_rows_and_the_publication_what_is_left_out_later(tmp_path):
    counts = probed(tmp_path, SQUAD, ProbedRows(200_000, True, 200_000, 20_000, 60.0, 700.0))
    assert counts.normalised(SQUAD) == (200_000, 20_000, 12.0, 14.0, "probed")
    assert counts.raw_mb(SQUAD) == 16.3
    assert counts.curated(SQUAD).how == "probed"
    assert counts.tuples(SQUAD)[0] == SQUAD.expected.queries == 89_509


def test_queries_that_a_probe_could_not_count_are_those_of_the_publication(tmp_path):
    counts = probed(tmp_path, FEVER, ProbedRows(5_600_000, False, None, 5_400_000, 0.0, 500.0))
    assert counts.normalised(FEVER)[:2] == (FEVER.expected.queries, 5_400_000)


def test_a_probe_without_rows_tells_bytes_alone(tmp_path):
    counts = probed(tmp_path, SQUAD, None)
    assert (counts.normalised(SQUAD).how, counts.raw_mb(SQUAD)) == ("stated", 16.3)


@pytest.mark.parametrize("other", [{"adapter": "nli"}, {"options": {"query": "x"}}])
def test_a_probe_of_other_options_says_nothing(tmp_path, other):
    counts = probed(tmp_path, SQUAD, ProbedRows(98_169, True, 98_000, 20_000, 60.0, 700.0), **other)
    assert (counts.normalised(SQUAD).how, counts.raw_mb(SQUAD)) == ("stated", None)


def test_a_damaged_probe_does_not_stop_planning(tmp_path):
    (tmp_path / "probe.json").write_text('{"format": 1, "probed": [{}]}')
    assert ExpectedRows(PAPER, results=tmp_path).raw_mb(SQUAD) is None
