"""`--update` writes how far a stanza is proven, and touches no other line; the verb says by its exit code what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from f2llm.__main__ import main
from f2llm.config.benchmarks import MtebData, Task
from f2llm.config.build import build, plain
from f2llm.config.load import load_run_file
from f2llm.config.stanzas import filled
from f2llm.records.errors import InputError
from f2llm.records.schemas.probe import ProbedPlace, ProbeRecord, read_probe
from f2llm.records.yaml_files import read_yaml
from f2llm.sources.check import load_source
from f2llm.sources.probe.of_run import probed_run
from f2llm.sources.probe.part import Probed
from f2llm.sources.probe.status import update_status

ROOT = Path(__file__).parents[3]
COMMIT = "0" * 39 + "1"
STANZA = """\
# What it is.
name: toy          # as the file
task: retrieval
fetch:
  - {kind: hub, repository: toy/rows, files: ["*.jsonl"]}
adapter: pairs
instruction: Given a question, find the answer.
licence: {id: MIT, commercial: "yes"}
reference: nowhere
group: answer
status:            # how far
  level: evidence
  note: >-
    level: of the listing
    was seen.

notes: |
  status: nothing
"""


def record(*faults, commit=COMMIT, date="2026-11-30"):
    place = ProbedPlace("datasets/toy/rows@main", commit, 1, 10, 10)
    return ProbeRecord("source", "toy", "k", date, (place,), None, {}, 0, faults, ())


@pytest.fixture
def stanza(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(STANZA, encoding="utf-8")
    return path


def test_a_probe_is_written_and_all_else_stays(stanza):
    assert update_status(stanza, record())
    assert stanza.read_text().splitlines() == [
        *STANZA.splitlines()[:11],
        "  level: probed",
        f'  commit: "{COMMIT}"',
        '  date: "2026-11-30"',
        *STANZA.splitlines()[12:],
    ]
    assert load_source(str(stanza)).status.level == "probed"


def test_a_second_probe_replaces_the_first(stanza):
    update_status(stanza, record())
    assert not update_status(stanza, record())
    assert update_status(stanza, record(date="2026-12-01"))
    assert stanza.read_text() == STANZA.replace(
        "  level: evidence\n", f'  level: probed\n  commit: "{COMMIT}"\n  date: "2026-12-01"\n'
    )


def test_a_stanza_without_a_status_gets_one(stanza):
    stanza.write_text(STANZA[: STANZA.index("status:")].rstrip())
    update_status(stanza, record(commit=""))
    assert read_yaml(stanza)["status"] == {"level": "probed", "date": "2026-11-30"}


def test_faults_and_what_was_fetched_change_nothing(stanza):
    assert not update_status(stanza, record("source toy: gone"))
    stanza.write_text(STANZA.replace("evidence", "fetched"))
    assert not update_status(stanza, record())


def test_a_status_on_one_line_is_refused(stanza):
    stanza.write_text(STANZA[: STANZA.index("status:")] + "status: {level: declared}\n")
    with pytest.raises(InputError, match=r"toy.yaml: status: is written on one line"):
        update_status(stanza, record())


def test_a_run_is_probed_with_its_models_and_with_the_tasks_of_its_tier():
    run = load_run_file(ROOT / "config/f2llm-0.6b.yaml")
    task = filled(Task, name="NFCorpus", type="retrieval", instruction="-", tiers=["full"])
    data = MtebData(repository="mteb/nfcorpus", revision=COMMIT, splits=(), subsets=(), type="", main_score="", texts=0)
    tasks = [replace(task, name=name, tiers=(tier,), mteb=data) for name, tier in (("one", "full"), ("two", "nano"))]
    run = replace(
        run, benchmark=replace(run.benchmark, tasks=tuple(tasks)), evaluate=replace(run.evaluate, tier="full")
    )
    parts = probed_run(run)
    assert [part.name for part in parts[:60]] == [source.name for source in run.sources]
    assert {part.name for part in parts if part.kind == "model"} == {"qwen3-0.6b", "qwen3-embedding-0.6b"}
    assert [part.owner for part in parts if part.kind == "task"] == ["task one"]
    assert [build(Probed, plain(part)) for part in parts] == parts


@pytest.fixture
def config(server, tmp_path, monkeypatch):
    """Return a config that names one source, as the verb reads it, without models and tasks."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/toy.yaml").write_text(STANZA)
    server.add("datasets/toy/rows", {"train.jsonl": json.dumps({"query": "q", "positive": "p"}).encode() + b"\n"})
    monkeypatch.setattr("f2llm.config.load.load_run_file", lambda _: None)
    monkeypatch.setattr("f2llm.sources.probe.of_run.probed_run", lambda _: [])
    return str(tmp_path / "config.yaml")


def test_the_verb_writes_what_it_saw(server, config, capsys):
    assert main(["probe-sources", "toy", "--config", config, "--update"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ok    source toy: 1 file of") and "toy.yaml: status is probed" in out
    assert [seen.name for seen in read_probe("results/probe.json")] == ["toy"]
    assert read_yaml("sources/toy.yaml")["status"]["level"] == "probed"


def test_the_verb_fails_where_something_is_wrong_and_leaves_the_status(server, config, capsys):
    Path("sources/toy.yaml").write_text(STANZA.replace("*.jsonl", "*.parquet"))
    assert main(["probe-sources", "toy", "--config", config, "--update"]) == 1
    assert "1 faults, named above and in results/probe.json" in capsys.readouterr().err
    assert read_yaml("sources/toy.yaml")["status"]["level"] == "evidence"
