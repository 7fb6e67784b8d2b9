"""What decides a training, and what does not."""

import dataclasses

import pytest

from f2llm.config.build import digest
from f2llm.records.errors import InputError
from f2llm.runs.run_file import Settings, read_run_file
from f2llm.train.identity import changed_rows, differences, identity


@pytest.fixture(scope="module")
def run(toy, tmp_path_factory):
    return read_run_file(toy.plan_toy(tmp_path_factory.mktemp("planned")))


def known(run, *, backbone="b", **train):
    settings = dataclasses.replace(run.settings, train=dataclasses.replace(run.settings.train, **train))
    return identity(
        dataclasses.replace(run, settings=settings), backbone_sha256=backbone, code="c", precision="float32"
    )


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.5}, {"temperature": 0.1}, {"threads": 3}, {"backbone": "other"}]
)
def test_what_decides_the_weights_has_checkpoints_of_its_own(run, change):
    assert digest(known(run, **change)) != digest(known(run))


@pytest.mark.parametrize(
    "change",
    [
        {"tokens_per_chunk": 99},
        {"checkpoint_every": 1},
        {"keep_checkpoints": 9},
        {"processes": 8},
        {"reshard_after_forward": True},
    ],
)
def test_what_only_costs_time_or_memory_goes_on_with_the_same_checkpoints(run, change):
    assert known(run, **change) == known(run)


def test_differing_keys_are_named():
    assert differences({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 0, "d": 4}) == ["b", "c", "d"]


def test_scoring_is_no_part_of_the_settings_of_a_training():
    assert not {"evaluate", "benchmark", "heldout_sources"} & {field.name for field in dataclasses.fields(Settings)}


def test_a_missing_run_file_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="run plan_run first"):
        read_run_file(tmp_path / "run.json")


@pytest.mark.parametrize("content", ['{"settings": {"run"', "[]", '{"other": 1}', '{"settings": 1}'])
def test_a_damaged_run_file_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json: this is no file of a run .*; run plan_run again"):
        read_run_file(tmp_path / "run.json")


@pytest.mark.parametrize("name", ["passages.bin", "queries.offsets", "positives.bin"])
def test_token_rows_that_changed_or_are_gone_are_named(toy, tmp_path, name):
    run = read_run_file(toy.plan_toy(tmp_path))
    assert changed_rows(run) == []
    path = tmp_path / "tokens" / "pairs" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert changed_rows(run) == [f"{path}: changed since it was written; run tokenise_source again"]
    path.unlink()
    assert changed_rows(run) == [f"{path}: missing, though it was written; run tokenise_source again"]
