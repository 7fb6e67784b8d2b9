"""A run that may go on without its broken sources says so wherever it ends, and stops when none is left."""

import subprocess
import sys

import pytest
import yaml

from f2llm.records.files import read_json

NO_ROWS = "no rows are left"
SUMMARY = "2 of 4 sources were skipped: toy_kinds, toy_probes; 10.0% of the queries that the stanzas state are missing"


@pytest.fixture
def skipping(fresh):
    """A toy checkout whose config says skip; a source trained on, one only scored on and published tuples have no rows."""
    folder = fresh.folder / "config"
    stanzas = {
        name: yaml.safe_load((folder / f"sources/{name}.yaml").read_text())
        for name in ("toy_pairs", "toy_kinds", "toy_topics")
    }
    pairs, kinds = stanzas["toy_pairs"], stanzas["toy_kinds"]
    pairs["expected"], kinds["expected"] = {"queries": 90}, {"queries": 10}
    stanzas["toy_probes"] = pairs | {
        "name": "toy_probes", "fetch": [{"kind": "local", "path": "data/probes.jsonl"}], "train": False,
    }  # fmt: skip
    stanzas["toy_released"] = pairs | {
        "name": "toy_released", "fetch": [{"kind": "local", "path": "data/released.jsonl"}], "ready": True, "train": False,
        "held_out": False,
    }  # fmt: skip
    for name, stanza in stanzas.items():
        (folder / f"sources/{name}.yaml").write_text(yaml.safe_dump(stanza, sort_keys=False))
    benchmark = yaml.safe_load((folder / "benchmarks/toy.yaml").read_text())
    benchmark["tasks"].append(benchmark["tasks"][0] | {"name": "ToyProbes", "source": "toy_probes"})
    (folder / "benchmarks/toy.yaml").write_text(yaml.safe_dump(benchmark, sort_keys=False))
    for name in ("kinds", "probes", "released"):
        (fresh.folder / f"data/{name}.jsonl").write_text("")
    fresh.configure(on_source_error="skip", compare={"toy_pairs": "toy_released"})
    return fresh


def test_a_run_without_two_of_its_sources_names_them_wherever_it_ends(skipping):
    done = skipping.run()
    closing = done.stdout.partition("model       results/runs/toy/model")[2]
    assert "not scored  ToyKinds, ToyProbes: no rows" in closing
    assert f"skipped     {SUMMARY}\n            toy_kinds: source toy_kinds: {NO_ROWS}" in closing
    assert f"\n            toy_probes: source toy_probes: {NO_ROWS}" in closing
    assert f"remark   toy_released: skipped: source toy_released: {NO_ROWS}" in done.stdout
    assert "remark   toy_kinds" not in done.stdout

    results = skipping.folder / "results"
    skipped = read_json(results / "runs/toy/gate.json")["sources_skipped"]
    assert [source["source"] for source in skipped["sources"]] == ["toy_kinds", "toy_probes"]
    assert (skipped["of"], skipped["missing"]) == (4, 0.1)
    assert NO_ROWS in read_json(results / "runs/toy/run.json")["left_out"]["toy_kinds"]
    first_screen = (results / "report/index.html").read_text().split("</section>")[0]
    assert f"{SUMMARY}." in first_screen
    assert "toy_pairs: nothing to compare with published tuples: source toy_released" in first_screen
    for card in ("runs/toy/model/README.md", "cards/toy/data_card.md"):
        assert f"toy_kinds (source toy_kinds: {NO_ROWS}" in (results / card).read_text().replace(
            "toy_kinds: s", "toy_kinds (s"
        )
    assert f"{SUMMARY}." in (results / "cards/toy/model_card.md").read_text()
    status = subprocess.run(
        [sys.executable, "-m", "f2llm", "status"], cwd=skipping.folder, env=skipping.environment(), text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert f"skipped     {SUMMARY}" in status.stdout


def test_a_run_of_which_every_source_was_skipped_stops_and_names_each_with_its_reason(skipping):
    for name in ("pairs", "topics"):
        (skipping.folder / f"data/{name}.jsonl").write_text("")
    done = skipping.run("results/runs/toy/run.json", check=False)
    assert done.returncode != 0
    said = " ".join(done.stderr.partition("what failed, once more")[2].split())
    for name in ("toy_pairs", "toy_kinds", "toy_topics"):
        assert f"source {name}: source {name}: {NO_ROWS}" in said
        assert f"remark {name}: skipped: source {name}: {NO_ROWS}" in said
    assert "no source has tuples to train on" in said
    assert not (skipping.folder / "results/runs/toy/run.json").exists()
