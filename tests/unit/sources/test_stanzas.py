"""Every shipped stanza, and what is said of adapters that do not exist."""

from pathlib import Path

import pytest

from f2llm.config.build import build
from f2llm.config.check import check, load_schema, read_yaml, with_defaults
from f2llm.config.models import Model
from f2llm.config.sources import Fetch, Licence, Source
from f2llm.sources.adapters import adapter_names, check_adapters

CONFIG = Path(__file__).parents[3] / "config"
SOURCES = sorted((CONFIG / "sources").glob("*.yaml"))
MODELS = sorted((CONFIG / "models").glob("*.yaml"))
BENCHMARKS = {"bfcl", "twenty_newsgroups", "reuters_r8", "lee", "wordsim353"}


def load(path, kind, record):
    content, schema = read_yaml(path), load_schema(kind)
    assert check(content, schema=schema, where=path.name) == []
    return build(record, with_defaults(content, schema))


def made(**changes):
    needed = {
        "name": "toy", "task": "retrieval", "fetch": (Fetch(kind="local", path="a"),), "adapter": "pairs",
        "instruction": "Do.", "licence": Licence(id="MIT", commercial="yes"), "reference": "r", "group": "g",
    }  # fmt: skip
    return Source(**needed | changes)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_shipped_source_is_complete(path):
    source = load(path, "source", Source)
    assert source.name == path.stem
    assert check_adapters([source]) == []
    assert source.instruction[0].isupper()
    assert source.instruction[-1] in ".?"
    assert "\n" not in source.instruction
    assert source.licence.id
    assert source.licence.note or source.licence.commercial == "yes"
    assert all(len(fetch.sha256) == 64 for fetch in source.fetch)
    assert source.train is (source.name not in BENCHMARKS | {"code_networkx"})


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_model_is_pinned_and_consistent(path):
    model = load(path, "model", Model)
    assert model.name == path.stem
    assert len(model.fetch.sha256) == 64
    assert model.append_eos is (model.pooling == "last")
    assert bool(model.query_prompt) is ("{instruction}" in model.query_prompt)


def test_the_default_run_has_its_sources_and_a_file_has_one_hash():
    names = {path.stem for path in SOURCES}
    assert set(read_yaml(CONFIG / "config.yaml")["sources"]) <= names
    pins = {
        (fetch.package, fetch.version, fetch.sha256) for path in SOURCES for fetch in load(path, "source", Source).fetch
    }
    assert len({pin[0] for pin in pins}) == len(pins)


def test_an_unknown_adapter_is_named_with_its_source_and_a_near_one():
    [fault] = check_adapters([made(adapter="pears")])
    assert fault == "source toy: there is no adapter 'pears'; did you mean 'pairs'?"


@pytest.mark.parametrize("name", ["__init__", "../records", "os"])
def test_an_adapter_is_a_module_of_its_folder_only(name):
    assert "there is no adapter" in check_adapters([made(adapter=name)])[0]


def test_all_faults_of_options_are_named():
    faults = check_adapters([made(adapter="obo_branches", options={"member": "a", "rot": "x"})])
    assert faults == [
        "source toy: adapter 'obo_branches' has no option 'rot'; its options are: member, root",
        "source toy: adapter 'obo_branches' needs the option 'root'; add it under `options`",
    ]


def test_every_adapter_is_used_or_generic():
    used = {load(path, "source", Source).adapter for path in SOURCES}
    assert set(adapter_names()) == used | {"pairs", "labelled", "graded_pairs"}
