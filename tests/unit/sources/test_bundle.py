"""A bundle made here is a run's input there: whole, checked, and never in the place of another file."""

import shutil
from pathlib import Path

import pytest
import yaml

from f2llm.config.fetch import Fetch, Order
from f2llm.config.rights import Licence
from f2llm.fetch.fetch import fetch_source
from f2llm.fetch.pins import PINS
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.sources.bundle import BundleEntry, make_bundle, open_bundle

NAME = "datasets/toy/rows"
LICENCE = Licence(id="MIT", commercial="yes", note="as | stated")


@pytest.fixture
def bundle(server, index, wheel, pinned):  # index: pip is replaced
    """Make a bundle of one source whose files come from a hub, a URL, a wheel and this machine."""
    server.add(NAME, {"train.jsonl": b"hub", "other.txt": b"-"})
    server.files["/files/web.jsonl"] = b"web"
    Path("data").mkdir()
    Path("data/mine.jsonl").write_text("mine")
    made = wheel({"a.txt": "wheel"})
    places = (
        Fetch(kind="hub", repository="toy/rows", files=("train*",)),
        Fetch(kind="http", url=f"{server.url}/files/web.jsonl"),
        pinned(made),
        Fetch(kind="local", path="data/mine.jsonl"),
    )
    order = Order(name="toy", task="retrieval", licence=LICENCE, fetch=places)
    fetch_source(order, raw="one/raw", manifest="one/manifest.json", on_error="fail")
    Path("config/sources").mkdir(parents=True, exist_ok=True)
    Path("config/sources/toy.yaml").write_text("name: toy\n")
    packed = BundleEntry(kind="source", name="toy", fetch=places, licence=LICENCE, manifest="one/manifest.json")
    config = {"run": "r", "stanzas": "config"}
    make_bundle([packed], config=config, stanzas=["sources/toy.yaml"], root="config", folder="bundle")
    return order


@pytest.fixture
def elsewhere(bundle, tmp_path, monkeypatch):
    """Go to a machine that has the bundle and no network."""
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree("bundle", "elsewhere/bundle")
    monkeypatch.chdir("elsewhere")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    return bundle


def test_the_same_files_are_fetched_from_it_without_network(elsewhere):
    open_bundle("bundle")
    fetch_source(elsewhere, raw="two/raw", manifest="two/manifest.json", on_error="fail")
    assert read_json("two/manifest.json") == read_json("../one/manifest.json")
    assert yaml.safe_load(Path("config/bundle-r.yaml").read_text()) == {"run": "r"}
    assert Path("config/sources/toy.yaml").read_text() == "name: toy\n"


def test_it_says_the_rights_on_everything(bundle):
    assert "| source | toy | MIT | yes | as / stated |" in Path("bundle/licences.md").read_text()


def test_opening_it_again_changes_nothing(elsewhere):
    assert open_bundle("bundle")
    assert open_bundle("bundle") == []


def test_an_edit_of_a_local_file_does_not_reach_into_the_bundle(bundle):
    with open("data/mine.jsonl", "a") as file:
        file.write(" and more")
    assert Path("bundle/local/data/mine.jsonl").read_text() == "mine"


def test_a_damaged_file_is_named_and_nothing_is_put_anywhere(elsewhere):
    Path("bundle/local/data/mine.jsonl").write_text("mane")
    with pytest.raises(InputError, match=r"bundle/local/data/mine.jsonl: damaged; copy the bundle again"):
        open_bundle("bundle")
    assert not Path("config").exists() and not Path("results").exists()


def test_another_file_of_the_same_name_is_never_replaced(elsewhere):
    Path("data").mkdir()
    Path("data/mine.jsonl").write_text("other")
    with pytest.raises(InputError, match="there is another file of this name"):
        open_bundle("bundle")
    assert Path("data/mine.jsonl").read_text() == "other"
    assert not Path("config").exists()


def test_another_commit_in_the_lock_file_is_a_fault(elsewhere):
    PINS.parent.mkdir()
    PINS.write_text(yaml.safe_dump({"hub": {f"{NAME}@main": {"revision": "0" * 40, "files": {}}}}))
    with pytest.raises(InputError, match="locked here otherwise than in the bundle"):
        open_bundle("bundle")


@pytest.mark.parametrize("name", ["local/../../out", "/etc/out", "fetched/../../../out"])
def test_a_name_that_leads_out_is_refused(elsewhere, name):
    write_json("bundle/bundle.json", read_json("bundle/bundle.json") | {name: "0" * 64})
    with pytest.raises(InputError, match="could lead out"):
        open_bundle("bundle")


def test_a_folder_that_is_no_bundle_is_said_so(tmp_path):
    with pytest.raises(InputError, match=r"there is no bundle.json in it"):
        open_bundle(tmp_path)


def test_a_fetched_file_that_is_gone_is_named_with_what_to_do(bundle):
    shutil.rmtree("results/.cache/fetched/hub")
    packed = BundleEntry(kind="source", name="toy", fetch=(), licence=LICENCE, manifest="one/manifest.json")
    with pytest.raises(InputError, match=r"train.jsonl is gone; delete one/manifest.json and run again"):
        make_bundle([packed], config={}, stanzas=[], root="config", folder="again")
    assert not Path("again").exists()


def test_a_task_of_ones_own_files_comes_along_though_nothing_of_it_was_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data/mine").mkdir(parents=True)
    Path("data/mine/test.jsonl").write_text("{}\n")
    place = Fetch(kind="local", path="data/mine")
    packed = BundleEntry(kind="task", name="Mine", fetch=(place,), licence=LICENCE, manifest="")
    make_bundle([packed], config={}, stanzas=[], root="config", folder="bundle")
    assert Path("bundle/local/data/mine/test.jsonl").read_text() == "{}\n"
    assert "| task | Mine |" in Path("bundle/licences.md").read_text()
