"""The schemas (what a user may write) and the dataclasses (what the library reads) agree."""

import dataclasses
import typing

import pytest

from f2llm.config import benchmarks, curate, energy, evaluate, fetch, mine, models, run, sources, tokens, train
from f2llm.config.check import load_schema

CONFIG = load_schema("config")["properties"]
PAIRS = [
    (load_schema("source"), sources.Source),
    (load_schema("source")["properties"]["fetch"]["items"], fetch.Fetch),
    (load_schema("source")["properties"]["licence"], fetch.Licence),
    (load_schema("model"), models.Model),
    (load_schema("benchmark"), benchmarks.Benchmark),
    (load_schema("benchmark")["properties"]["tasks"]["items"], benchmarks.Task),
    (CONFIG["curate"], curate.Curate),
    (CONFIG["curate"]["properties"]["near"], curate.Near),
    (CONFIG["curate"]["properties"]["decontaminate"], curate.Decontaminate),
    (CONFIG["mine"], mine.Mine),
    (CONFIG["tokens"], tokens.Tokens),
    (CONFIG["train"], train.Train),
    (CONFIG["train"]["properties"]["losses"]["items"], train.LossTerm),
    (CONFIG["evaluate"], evaluate.Evaluate),
    (CONFIG["evaluate"]["properties"]["gate"], evaluate.Gate),
    (CONFIG["energy"], energy.Energy),
]


@pytest.mark.parametrize(("schema", "record"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_schema_and_dataclass_have_the_same_keys(schema, record):
    in_mteb = {"revision", "splits", "subsets", "files"} if record is benchmarks.Task else set()
    assert set(schema["properties"]) - in_mteb == {field.name for field in dataclasses.fields(record)}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(("schema", "record"), PAIRS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_key_that_may_be_absent_has_a_default(schema, record):
    for name, key in schema["properties"].items():
        assert name in schema.get("required", []) or "default" in key or record is benchmarks.Task, name


def test_the_run_has_the_config_keys_and_what_follows_from_them():
    assert {field.name for field in dataclasses.fields(run.Run)} == set(CONFIG) - {"stanzas"} | {
        "heldout_sources",
        "barred",
        "scored_models",
        "trained_datasets",
    }
    assert typing.get_type_hints(run.Run)["train"] is train.Train
