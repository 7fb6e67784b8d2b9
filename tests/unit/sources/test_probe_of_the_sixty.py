"""The stanzas of the paper against a hub that announces what public pages show: what a probe finds, and what it reads for that."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from listed_hub import Hub

from f2llm.records.yaml_files import read_yaml
from f2llm.sources.check import load_source
from f2llm.sources.probe.of_run import probed_source
from f2llm.sources.probe.probe import probe_all

ROOT = Path(__file__).parents[3]
SIXTY = read_yaml(ROOT / "config/f2llm-0.6b.yaml")["sources"]
BEFORE = Path(__file__).with_name("stanzas_before")
MOST_BYTES = 1_500_000  # of one stanza, with the hub's answers
# What stood in the stanzas before they were mended -> the fault that says so.
WRONG = {
    "arxiv_clustering_p2p": "passages, published are 299,733; set max_passages",
    "arxiv_clustering_s2s": "passages, published are 299,630; set max_passages",
    "coliee": "'*train-*.parquet' matches files of 2 kinds: triplet-20/",
    "massive_intent": "no file is named like 'en/train*'",
    "massive_scenario": "no file is named like 'en/validation*'",
    "mtop_domain": "there is no column 'label_text'; it has 'text', 'label'",
    "mtop_intent": "there is no column 'label_text'; it has 'text', 'label'",
    "stackexchange": "line 1: not a JSON object",
    "stackexchange_clustering_s2s": "queries, published are 56,731; set max_queries",
    "sts22": "no file is named like 'en/train*'",
    "triviaqa": "120,460 passages, published are 1,014,344; name files that hold more",
}
LARGE = {"bioasq": "7.1 GB", "reddit_clustering_p2p": "39.5 GB", "stackexchange_clustering_p2p": "10.9 GB"}
RISKY = {
    "miracl": "the hub has no branch of converted files of it",
    "reddit_clustering_s2s": "queries, published are 58,141; set max_queries",
}


@pytest.fixture(scope="module")
def hub():
    server = Hub()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def probed(hub, monkeypatch):
    """Return a function that probes one stanza, and gives its record and lines."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))

    def run(name, folder):
        part = probed_source(load_source(name, stanzas=folder))
        places = [replace(place, url=place.url.replace("https://", f"{hub.url}/web/")) for place in part.fetch]
        hub.sent, hub.whole, said = 0, [], []
        [record] = probe_all([replace(part, fetch=tuple(places))], tell=said.append).records
        assert hub.whole == []
        assert hub.sent <= MOST_BYTES
        return record, said

    return run


def test_the_paper_has_sixty_sources():
    assert len(SIXTY) == 60


@pytest.mark.parametrize("name", SIXTY)
def test_a_stanza_of_today_has_no_fault(probed, name):
    record, _ = probed(name, ROOT / "config/sources")
    assert record.faults == ()
    assert record.bytes > 0
    assert record.columns


@pytest.mark.parametrize("name", WRONG)
def test_what_was_wrong_is_a_fault(probed, name):
    record, said = probed(name, BEFORE)
    assert WRONG[name] in "\n".join(record.faults)
    assert said[0].startswith(f"fault source {name}: ")


@pytest.mark.parametrize("name", LARGE)
def test_of_large_files_their_bytes_are_said_beside_those_of_the_disk(probed, name):
    record, said = probed(name, BEFORE)
    assert record.faults == ()
    assert f" of {LARGE[name]}, {LARGE[name]} to fetch, 1,000.0 GB free" in said[0]


@pytest.mark.parametrize("name", LARGE)
def test_files_that_the_disk_cannot_hold_are_a_fault(probed, monkeypatch, name):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=7 * 10**9))
    record, _ = probed(name, BEFORE)
    assert record.faults == (
        f"source {name}: {LARGE[name]} to fetch, 7.0 GB are free for results/; free some, or name fewer files",
    )


@pytest.mark.parametrize("name", sorted({path.stem for path in BEFORE.glob("*.yaml")} - WRONG.keys() - LARGE.keys()))
def test_of_the_risky_ones_two_are_faults(probed, name):
    record, _ = probed(name, BEFORE)
    assert [RISKY[name] in fault for fault in record.faults] == [True] if name in RISKY else record.faults == ()
