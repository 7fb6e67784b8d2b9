"""The crate of a toy run keeps every MUST of the Workflow Run RO-Crate profiles, and each rule finds what breaks it."""

import getpass
import importlib.util
import json
import socket
from pathlib import Path

import pytest

from f2llm.publish.crate import write_crate
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_path

SPEC = importlib.util.spec_from_file_location("crate_rules", Path(__file__).with_name("crate_rules.py"))
crate_rules = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(crate_rules)


@pytest.fixture
def crate(scored):
    results, jobs = scored
    (results / "cards").mkdir()
    (results / "cards/model_card.md").write_text("# toyrun\n")
    write_crate(results, run="toyrun", jobs=jobs, cards=results / "cards", folder=results / "ro-crate")
    return results / "ro-crate"


def graph(folder):
    return {entity["@id"]: entity for entity in json.loads((folder / "ro-crate-metadata.json").read_text())["@graph"]}


def changed(folder, change):
    path = folder / "ro-crate-metadata.json"
    content = json.loads(path.read_text())
    change({entity["@id"]: entity for entity in content["@graph"]}, content)
    path.write_text(json.dumps(content))


def test_the_crate_keeps_every_must_of_the_profiles(crate):
    assert crate_rules.faults(crate) == []


def drop(identity, key):
    return lambda entities, _: entities[identity].pop(key)


def point(identity, key, target):
    return lambda entities, _: entities[identity].update({key: {"@id": target}})


TOOL, JOB = "#tool/mine_source/0123456789abcdef", "mine_source/m-1/toy"
BREAKERS = {
    "1.1 metadata: contexts": lambda _, content: content["@context"].pop(),
    "1.1 metadata: the graph has each @id once": lambda entities, content: content["@graph"].append(entities["#run"]),
    "1.1 root: datePublished": lambda entities, _: entities["./"].update(datePublished="yesterday"),
    "1.1 root: it is a Dataset with": drop("./", "license"),
    "1.1 data: every file and folder is part": lambda entities, _: entities["./"]["hasPart"].pop(),
    "1.1 data: ids are absolute URIs": lambda entities, content: (
        content["@graph"].append({"@id": "gone.txt", "@type": "File"}), entities["./"]["hasPart"].append({"@id": "gone.txt"})
    ),
    "1.1 appendix: references": point("#run", "agent", "#nobody"),
    "wfrun: the root conforms": lambda entities, _: entities["./"]["conformsTo"].pop(),
    "workflow 1.0: the main entity": lambda entities, _: entities["Snakefile"]["@type"].remove("ComputationalWorkflow"),
    "workflow 1.0: it names its language": drop("Snakefile", "programmingLanguage"),
    "workflow run: an action has the main workflow": point("#run", "instrument", TOOL),
    "workflow run: formal parameters have additionalType": drop("#parameter/model", "additionalType"),
    "workflow run: formal parameters refer": point("#parameter/model", "workExample", "#run"),
    "provenance: a workflow with steps": lambda entities, _: entities["Snakefile"]["@type"].remove("HowTo"),
    "provenance: a workflow has its tools": drop("Snakefile", "hasPart"),
    "process: every action has a tool": drop(f"#job/{JOB}", "instrument"),
    "provenance: resource usage": drop(f"#usage/{JOB}/seconds", "propertyID"),
    "provenance: every step belongs": drop("Snakefile", "step"),
    "provenance: every step names its tool": drop("#step/mine_source", "workExample"),
    "provenance: positions": lambda entities, _: entities["#step/mine_source"].update(position="first"),
    "provenance: a control action names": drop(f"#control/{JOB}", "instrument"),
    "provenance: a control action controls": drop(f"#control/{JOB}", "object"),
    "provenance: an organize action names": drop("#organisation", "instrument"),
    "provenance: an organize action results": drop("#organisation", "result"),
    "provenance: an organize action has": drop("#organisation", "object"),
}  # fmt: skip


def test_each_rule_finds_what_breaks_it(crate):
    whole = (crate / "ro-crate-metadata.json").read_text()
    for rule, breaker in BREAKERS.items():
        changed(crate, breaker)
        assert [fault for fault in crate_rules.faults(crate) if fault.startswith(rule)], rule
        (crate / "ro-crate-metadata.json").write_text(whole)


def test_a_job_has_its_inputs_outputs_code_cost_and_manifest(crate):
    entities = graph(crate)
    job = entities[f"#job/{JOB}"]
    (tuples,) = [e for e in entities.values() if e["@id"].endswith("/results/mined/m-1/toy/tuples.parquet")]
    assert job["result"] == {"@id": tuples["@id"]}
    assert tuples["sha256"] == "d" * 64
    assert tuples["@id"].startswith("arcp://uuid,")
    assert entities[job["instrument"]["@id"]]["softwareVersion"] == "0123456789abcdef"
    assert entities[f"#usage/{JOB}/seconds"]["value"] == 3.5
    assert (crate / job["subjectOf"]["@id"]).is_file()
    training = entities["#job/train_model/toyrun"]
    assert training["object"] == {"@id": tuples["@id"]}  # what one job made and the next one read is one entity


def test_raw_files_have_the_licence_of_their_stanza(crate):
    entities = graph(crate)
    (raw,) = [e for e in entities.values() if e.get("name") == "toy.jsonl"]
    assert raw["sha256"] == "a" * 64
    licence = entities[raw["license"]["@id"]]
    assert (licence["@id"], licence["name"]) == ("https://spdx.org/licenses/CC0-1.0", "CC0-1.0")
    assert {"@id": raw["@id"]} == entities["#run"]["object"] == entities["#job/fetch_source/toy"]["object"]


def test_the_crate_holds_the_code_and_the_cards_but_no_data(crate):
    names = {str(path.relative_to(crate)) for path in crate.rglob("*") if path.is_file()}
    assert {
        "Snakefile",
        "rules/publish.smk",
        "cards/model_card.md",
        f"jobs/{JOB}.json",
        "f2llm/publish/crate.py",
    } <= names
    assert not [name for name in names if name.endswith((".parquet", ".safetensors", ".jsonl"))]


def test_the_same_manifests_give_the_same_bytes(crate, scored, monkeypatch):
    results, jobs = scored
    write_crate(results, run="toyrun", jobs=jobs, cards=results / "cards", folder=results / "again")
    assert sha256_path(results / "again") == sha256_path(crate)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    write_crate(results, run="toyrun", jobs=jobs, cards=results / "cards", folder=results / "dated")
    assert graph(results / "dated")["./"]["datePublished"] == "1970-01-01T00:00:00+00:00"


def test_nothing_of_the_machine_is_in_the_crate(crate, scored):
    for path in [path for path in crate.rglob("*") if path.is_file() and path.suffix != ".py"]:
        found = path.read_text()
        for secret in (socket.gethostname(), str(Path.home()) + "/", str(scored[0]), f'"{getpass.getuser()}"'):
            assert secret not in found, (path, secret)


def test_a_run_that_is_not_there_is_refused_and_leaves_no_folder(scored):
    results, jobs = scored
    with pytest.raises(InputError, match="no run 'other'; runs here: toyrun"):
        write_crate(results, run="other", jobs=jobs, cards=results, folder=results / "none")
    assert not (results / "none").exists()
