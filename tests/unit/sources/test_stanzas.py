"""Every shipped stanza, and what is said of adapters that do not exist."""

from collections import Counter
from pathlib import Path

import pytest
from packaging.licenses import canonicalize_license_expression

from f2llm.config.build import build, plain
from f2llm.config.check import check, load_schema, with_defaults
from f2llm.config.fetch import Fetch
from f2llm.config.load import load_run
from f2llm.config.models import Model
from f2llm.config.rights import Licence
from f2llm.config.sources import Source
from f2llm.config.stanzas import filled
from f2llm.records.yaml_files import read_yaml
from f2llm.sources.adapters import adapter_names, check_adapters
from f2llm.sources.named_files import unread_files

CONFIG = Path(__file__).parents[3] / "config"
SOURCES = sorted((CONFIG / "sources").glob("*.yaml"))
MODELS = sorted((CONFIG / "models").glob("*.yaml"))
NEVER_TRAINED_ON = {"bfcl", "f2llm_released", "twenty_newsgroups", "reuters_r8", "lee", "wordsim353", "code_networkx"}
# Tables 3-6 of arXiv 2510.02294: training tuples and distinct passages, over 60 sources.
PAPER = {"classification": (193_038, 10), "clustering": (822_001, 2_678_655), "retrieval": (4_918_949, 22_050_569)}


def load(path, kind, record):
    content, schema = read_yaml(path), load_schema(kind)
    assert check(content, schema=schema, where=path.name) == []
    return build(record, with_defaults(content, schema))


def made(**changes):
    needed = {
        "name": "toy", "task": "retrieval", "fetch": (Fetch(kind="local", path="a"),), "adapter": "pairs",
        "instruction": "Do.", "licence": Licence(id="MIT", commercial="yes", note=""), "reference": "r", "group": "g",
    }  # fmt: skip
    return filled(Source, **needed | changes)


def from_the_paper():
    sources = [load(path, "source", Source) for path in SOURCES]
    return [source for source in sources if source.expected.queries is not None]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_shipped_source_is_complete(path):
    source = load(path, "source", Source)
    assert source.name == path.stem
    assert check_adapters([source]) == []
    assert source.instruction[0].isupper()
    assert source.instruction[-1] in ".?"
    assert "\n" not in source.instruction
    assert canonicalize_license_expression(source.licence.id) == source.licence.id
    assert source.licence.note or source.licence.commercial == "yes"
    assert source.train is (source.name not in NEVER_TRAINED_ON)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_what_a_shipped_source_leaves_open_is_said(path):
    source = load(path, "source", Source)
    for fetch in source.fetch:
        open_end = not (fetch.revision if fetch.kind == "hub" else fetch.sha256)
        assert open_end is ("locked at the first fetch" in source.status.note)
        assert not fetch.branch or not fetch.revision
    if source.expected.queries is not None:
        assert all(fetch.kind in ("hub", "http") for fetch in source.fetch)
        assert source.status.note
        assert source.citation
        assert None not in (source.expected.passages, source.expected.query_tokens, source.expected.passage_tokens)


def test_the_sources_of_the_paper_are_60_and_sum_to_its_totals():
    found = from_the_paper()
    assert len(found) == 60
    assert {
        task: tuple(
            sum(getattr(source.expected, of) for source in found if source.task == task)
            for of in ("queries", "passages")
        )
        for task in {source.task for source in found}
    } == PAPER


def test_the_documentation_lists_the_sources_of_the_paper_as_their_stanzas_have_them():
    listed = [line.split(" | ") for line in (CONFIG.parent / "docs/sources.md").read_text().splitlines()]
    rows = {line[0].strip("| `"): line for line in listed if len(line) == 10 and line[0].startswith("| `")}
    assert set(rows) == {source.name for source in from_the_paper()}
    for source in from_the_paper():
        line, [fetch] = rows[source.name], source.fetch
        in_url = "commit" if "codeload" in fetch.url else "open"
        assert line[1] == f"`{fetch.repository}`" or fetch.url, source.name
        assert line[2] == ("commit" if fetch.revision else "converted branch" if fetch.branch else in_url), source.name
        assert line[4] == f"`{source.adapter}`", source.name
        assert line[5:7] == [f"{source.expected.queries:,}", f"{source.expected.passages:,}"], source.name
        assert line[7:] == [source.licence.id, source.licence.commercial, f"{source.status.level} |"], source.name


def test_the_documentation_counts_levels_licences_and_pins_of_the_sources_of_the_paper():
    text = " ".join((CONFIG.parent / "docs/sources.md").read_text().split())
    sources = from_the_paper()
    levels = Counter(source.status.level for source in sources)
    for level in load_schema("source")["properties"]["status"]["properties"]["level"]["enum"]:
        assert f"`{level}` ({levels[level]}): " in text
    commercial = Counter(source.licence.commercial for source in sources)
    assert f": {commercial['yes']} sources. `no`: {commercial['no']}. `unknown`: {commercial['unknown']}." in text
    pinned = sum(bool(fetch.revision) for source in sources for fetch in source.fetch)
    assert f"{pinned} stanzas name a commit of the hub, {60 - pinned} leave a commit or a hash open" in text


def test_what_a_wheel_holds_is_fetched_and_no_other_place_is_called_so_without_its_day():
    for path in SOURCES:
        source = load(path, "source", Source)
        of_wheels = {fetch.kind for fetch in source.fetch} == {"package"}
        assert (source.status.level == "fetched") or not of_wheels, source.name
        assert source.status.level != "fetched" or of_wheels or source.status.date, source.name


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        ({"level": "probed"}, ["status: key 'date' is missing; add it", "status: key 'commit' is missing; add it"]),
        ({"level": "probed", "commit": "", "date": ""}, ["status.commit: ", "status.date: "]),
        ({"level": "probed", "commit": "a" * 40, "date": "30.11.2026"}, ["status.date: "]),
        ({"level": "probed", "commit": "a" * 40, "date": "2026-11-30"}, []),
        ({"level": "fetched"}, []),
        ({"level": "fetched", "commit": "a" * 40, "date": "2026-11-30"}, []),
        ({"level": "evidence", "commit": "a" * 40}, ["status.commit: "]),
        ({"date": "2026-11-30"}, ["status.date: "]),
        ({"level": "checked"}, ["status.level: 'checked' is not one of"]),
    ],
)  # fmt: skip
def test_a_status_of_a_repository_has_commit_and_date_if_it_was_probed_and_none_if_it_was_not_reached(status, fault):
    content = read_yaml(CONFIG / "sources/squad.yaml") | {"status": status}
    found = check(content, schema=load_schema("source"), where="squad.yaml")
    assert len(found) == len(fault)
    assert all(any(part in line for line in found) for part in fault), found


def test_a_url_has_no_commit_to_be_probed_at():
    content = read_yaml(CONFIG / "sources/amazon_qa.yaml") | {"status": {"level": "probed", "date": "2026-11-30"}}
    assert check(content, schema=load_schema("source"), where="amazon_qa.yaml") == []


@pytest.mark.parametrize(("shards", "fault"), [(None, []), (1, []), (0, ["less than the minimum of 1"])])
def test_shards_are_at_least_one(shards, fault):
    content = read_yaml(CONFIG / "sources/squad.yaml")
    content["fetch"][0]["shards"] = shards
    found = check(content, schema=load_schema("source"), where="squad.yaml")
    assert [part in line for line, part in zip(found, fault, strict=True)] == [True] * len(fault)


def test_only_a_repository_has_shards():
    content = read_yaml(CONFIG / "sources/amazon_qa.yaml")
    content["fetch"][0]["shards"] = 2
    [fault] = check(content, schema=load_schema("source"), where="amazon_qa.yaml")
    assert (
        fault
        == "amazon_qa.yaml: fetch.0.shards: 2 is not of type 'null'; only places of kind hub have shards; leave it out"
    )


def test_commercial_use_is_never_guessed():
    free = {"Apache-2.0", "MIT", "CC0-1.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0"}
    for source in from_the_paper():
        if "NC" in source.licence.id.split("-"):
            assert source.licence.commercial == "no", source.name
        if source.licence.commercial == "yes":
            assert source.licence.id in free, source.name
            assert "memory" not in source.licence.note, source.name


def test_views_of_one_data_set_are_split_alike():
    sources = {source.name: source for source in from_the_paper()}
    for one, two in (
        ("mtop_intent", "mtop_domain"),
        ("massive_intent", "massive_scenario"),
        *((f"{name}_clustering_p2p", f"{name}_clustering_s2s") for name in ("arxiv", "biorxiv", "medrxiv")),
    ):
        assert sources[one].options.get("group") == sources[two].options.get("group")
        assert "the same of" in sources[one].group


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_shipped_model_is_consistent(path):
    model = load(path, "model", Model)
    assert model.name == path.stem
    assert model.fetch.kind == "hub" or len(model.fetch.sha256) == 64
    assert model.append_eos is (model.pooling == "last")
    assert bool(model.query_prompt) is ("{instruction}" in model.query_prompt)
    if model.geometry:
        assert model.geometry.heads % model.geometry.kv_heads == 0
        assert model.layers is None or model.layers <= model.geometry.layers


def test_the_default_run_has_its_sources_and_a_file_has_one_hash():
    names = {path.stem for path in SOURCES}
    assert set(read_yaml(CONFIG / "config.yaml")["sources"]) <= names
    pins = {
        (fetch.package or fetch.repository or fetch.url, fetch.version, fetch.revision, fetch.sha256, fetch.branch)
        for path in SOURCES
        for fetch in load(path, "source", Source).fetch
    }
    assert len({pin[0] for pin in pins}) == len(pins)


def test_a_run_over_all_sources_of_the_paper_is_valid():
    content = read_yaml(CONFIG / "config.yaml")
    names = [source.name for source in from_the_paper()]
    run = load_run(content | {"sources": names}, folder=CONFIG, where="config")
    assert len(run.sources) == 60
    assert build(Source, plain(run.sources[0])) == run.sources[0]


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


def test_an_option_that_yaml_has_read_as_something_else_than_text_is_to_be_quoted():
    options = {
        "only": {"lang": [False, "en"], "year": [2020], "grade": [1.10]}, "query": True, "skip_rows": 2, "negatives": [7],
    }  # fmt: skip
    assert check_adapters([made(adapter="pairs", options=options)]) == [
        "source toy: options.only.lang.0: false is a truth value, as YAML reads no, off and false; put the text in quotation marks",
        "source toy: options.only.grade.0: 1.1 is a number; put the text in quotation marks, just as it is meant",
        "source toy: options.query: true is a truth value, as YAML reads yes, on and true; put the text in quotation marks",
        "source toy: options.negatives.0: 7 is a number; put the text in quotation marks, just as it is meant",
    ]
    languages = {"folder": "f", "languages": [False, "en"]}
    assert len(check_adapters([made(adapter="emoji_names", options=languages)])) == 1
    numbers = {"qrels": "q*", "least": 3}
    assert check_adapters([made(adapter="beir", options=numbers)]) == []


@pytest.mark.parametrize(
    ("place", "named"),
    [
        (Fetch(kind="local", path="notes.docx"), "notes.docx"),
        (Fetch(kind="local", path="folder"), ""),
        (Fetch(kind="local", path="rows.csv"), ""),
        (Fetch(kind="hub", repository="a/b", files=("README.md", "*.md", "a.jsonl.gz")), "README.md"),
        (Fetch(kind="http", url="https://example.org/get.php?id=1.csv"), "/get.php"),
        (Fetch(kind="http", url="https://example.org/a.csv.gz?v=1"), ""),
        (Fetch(kind="sql", path="shop.db", query="SELECT 1"), ""),
    ],
)
def test_a_file_that_is_named_and_cannot_be_read_is_a_fault_before_it_is_fetched(tmp_path, monkeypatch, place, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("notes.docx", "rows.csv"):
        (tmp_path / name).touch()
    faults = unread_files([made(fetch=(place,))])
    assert [fault.split(": no rows")[0] for fault in faults] == ([f"source toy: {named}"] if named else [])
    assert unread_files([made(fetch=(place,), options={"member": "a.csv"})]) == []
    assert unread_files([made(fetch=(place,), adapter="emoji_names")]) == []
