"""Every changed run of a config is checked before any job, and all their faults are said at once."""

import pytest
import yaml

from f2llm.config.changed_runs import load_changed_runs
from f2llm.config.load import load_run
from f2llm.records.errors import InputError

LICENCE = {"id": "CC0-1.0", "commercial": "yes"}
SOURCE = {
    "task": "retrieval", "fetch": [{"kind": "local", "path": "toy.jsonl"}], "adapter": "pairs",
    "instruction": "Find it.", "licence": LICENCE, "reference": "made up", "group": "row",
}  # fmt: skip
MODEL = {
    "name": "tiny", "fetch": {"kind": "local", "path": "tiny"}, "format": "folder", "member": "", "pooling": "last",
    "append_eos": True, "licence": LICENCE, "reference": "made up",
}  # fmt: skip
RUN = {
    "run": "r", "sources": ["one", "two"], "backbone": "tiny", "retriever": "tiny", "benchmark": "bench",
    "mine": {"max_length": 8, "negatives": 1}, "tokens": {"query_max_length": 8, "passage_max_length": 8},
    "train": {"steps": 1, "batch_size": 2, "negatives": 1, "learning_rate": 0.1, "warmup_steps": 0},
    "evaluate": {"max_length": 8, "dimensions": [16], "gate": {"over_base_last": 5, "over_base_mean": 5}},
    "compare": {"one": "theirs"},
}  # fmt: skip
TASK = {"name": "Toy", "type": "retrieval", "source": "one", "split": "test"}


@pytest.fixture
def folder(tmp_path):
    theirs = SOURCE | {"name": "theirs", "ready": True, "held_out": False}
    stanzas = {
        "sources": [SOURCE | {"name": "one"}, SOURCE | {"name": "two"}, theirs],
        "models": [MODEL],
        "benchmarks": [{"name": "bench", "tasks": [TASK]}],
    }
    for kind, content in stanzas.items():
        (tmp_path / kind).mkdir()
        for stanza in content:
            (tmp_path / kind / f"{stanza['name']}.yaml").write_text(yaml.safe_dump(stanza))
    return tmp_path


def changed(folder, ablate, taken=("r", "r-16d", "tiny")):
    content = RUN | {"ablate": ablate}
    run = load_run(content, folder=folder, where="c")
    return load_changed_runs(run, content, folder=folder, where="c", taken=taken)


def faults(folder, *changes, **given):
    with pytest.raises(InputError) as found:
        changed(folder, [{"name": name, "set": values} for name, values in changes], **given)
    return found.value.faults


def test_a_source_left_out_is_still_scored_on_and_compared_with_nothing(folder):
    without_one, without_two = changed(folder, "leave_one_source_out")
    assert (without_one.run, without_two.run) == ("r-without-one", "r-without-two")
    assert [source.name for source in without_one.sources] == ["two"]
    assert [source.name for source in without_one.heldout_sources] == ["one"]
    assert without_one.compare == without_two.compare == ()
    assert without_one.evaluate.gate.over_base_last == 5


def test_a_config_without_ablations_has_no_changed_runs(folder):
    assert changed(folder, None) == ()


def test_the_faults_of_all_changes_are_said_at_once_with_the_name_of_each(folder):
    found = faults(
        folder,
        ("typo", {"trian": {"steps": 2}}),
        ("unknown", {"train": {"stepz": 2}}),
        ("missing", {"sources": ["one", "tow"]}),
        ("empty", {"sources": []}),
        ("other", {"benchmark": "bench"}),
        ("spread", {"train": {"processes": 2}}),
    )
    said = "\n".join(found)
    assert len(found) == 6
    assert "c: ablate: typo: set.trian: runs of an ablation may differ in seed" in said
    assert "c: ablate: unknown: train: unknown key 'stepz'" in said
    assert "there is no such stanza (sources: 'tow'); did you mean 'two'?" in said
    assert "c: ablate: empty: sources: [] should be non-empty" in said
    assert "c: ablate: other: set.benchmark: runs of an ablation may differ in" in said
    assert "c: ablate: spread: set.train.processes: says where a training runs" in said


def test_the_only_source_cannot_be_left_out(folder):
    content = RUN | {"sources": ["one"], "ablate": "leave_one_source_out"}
    run = load_run(content, folder=folder, where="c")
    with pytest.raises(InputError, match=r"c: ablate: without-one: sources: \[\] should be non-empty"):
        load_changed_runs(run, content, folder=folder, where="c")


def test_a_change_to_what_a_setting_is_already_is_refused(folder):
    found = faults(folder, ("same", {"train": {"steps": 1}}))
    assert found == ("c: ablate: same: this changes nothing of 'r'; take it out, or change something",)
    assert len(changed(folder, [{"name": "other", "set": {"train": {"steps": 2}}}])) == 1


def test_names_that_two_scored_models_would_have_are_refused(folder):
    longer, colder = {"train": {"steps": 2}}, {"train": {"temperature": 0.1}}
    found = faults(folder, ("long", longer), ("long", colder), ("16d", colder), ("x", longer), taken=["r-16d", "r-x"])
    assert [fault.split("'")[1] for fault in found] == ["r-16d", "r-x", "r-long", "r-long-16d"]
