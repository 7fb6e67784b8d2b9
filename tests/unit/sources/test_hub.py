"""The whole way of the hub against a server on this machine: every fault ends in the right bytes or a clear refusal."""

import io
import json
import logging
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from stub_server import Fault

from f2llm.config.fetch import Fetch, Order
from f2llm.config.rights import Licence
from f2llm.fetch import retry
from f2llm.fetch.cache import CACHE
from f2llm.fetch.fetch import fetch_source
from f2llm.fetch.lock import lock_files
from f2llm.fetch.pins import PINS
from f2llm.fetch.refusals import CONVERTED
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file
from f2llm.sources.normalise import Reading, normalise_source

SMALL, LARGE = b'{"query": "q", "positive": "p"}\n', b"".join(b"line %d\n" % number for number in range(60))
FILES = {"README.md": b"about", "data/train.jsonl": SMALL, "data/train-2.txt": LARGE, "data/test.jsonl": b"{}"}
NAME = "datasets/toy/rows"


def order(*files, revision="", branch="", kind="dataset", repository="toy/rows", shards=None):
    place = Fetch(
        kind="hub", repository=repository, repository_type=kind, revision=revision, branch=branch,
        files=files or ("data/train*",), shards=shards,
    )  # fmt: skip
    return Order(name="toy", task="retrieval", licence=Licence(id="MIT", commercial="yes", note=""), fetch=(place,))


def fetch(*files, out="out", on_error="fail", **place):
    fetch_source(order(*files, **place), raw=f"{out}/raw", manifest=f"{out}/manifest.json", on_error=on_error)
    return read_json(f"{out}/manifest.json")["files"]


def content(tmp_path, name, out="out"):
    return (tmp_path / out / "raw" / name).read_bytes()


def test_the_files_that_the_patterns_name_are_fetched_and_recorded_at_their_commit(server, tmp_path):
    commit = server.add(NAME, FILES)
    found = fetch("data/train*")
    assert [entry["name"] for entry in found] == ["data/train-2.txt", "data/train.jsonl"]
    assert content(tmp_path, "data/train.jsonl") == SMALL
    assert found[0] == {
        "kind": "hub", "package": NAME, "version": commit, "name": "data/train-2.txt", "bytes": len(LARGE),
        "sha256": sha256_file("out/raw/data/train-2.txt"),
    }  # fmt: skip


def test_an_open_revision_is_locked_at_the_first_fetch_and_holds(server, tmp_path):
    first = server.add(NAME, FILES)
    fetch()
    assert yaml.safe_load(PINS.read_text())["hub"][f"{NAME}@main"]["revision"] == first
    server.add(NAME, FILES | {"data/train.jsonl": b"new"})
    fetch(out="again")
    assert content(tmp_path, "data/train.jsonl", "again") == SMALL
    PINS.unlink()
    assert fetch(out="anew")[0]["version"] != first
    assert content(tmp_path, "data/train.jsonl", "anew") == b"new"


def test_a_pinned_commit_is_fetched_whatever_main_is_now(server, tmp_path):
    first = server.add(NAME, FILES)
    server.add(NAME, {"data/train.jsonl": b"new"})
    fetch(revision=first)
    assert content(tmp_path, "data/train.jsonl") == SMALL
    assert not server.requests("/revision/main")


def test_another_branch_is_looked_up_for_an_open_revision(server, tmp_path):
    server.add(NAME, FILES, branch="refs/convert/parquet")
    server.add(NAME, {"other.txt": b""})
    fetch(branch="refs/convert/parquet")
    assert content(tmp_path, "data/train.jsonl") == SMALL
    assert f"{NAME}@refs/convert/parquet" in yaml.safe_load(PINS.read_text())["hub"]


def test_models_are_repositories_of_another_kind(server, tmp_path):
    server.add("models/toy/rows", {"config.json": b"{}"})
    assert fetch("config.json", kind="model")[0]["package"] == "models/toy/rows"


def test_files_are_fetched_once_for_all_sources_and_never_asked_for_again(server):
    commit = server.add(NAME, FILES)
    fetch(revision=commit)
    server.log.clear()
    fetch(revision=commit, out="again")
    assert server.log == []


def test_a_pattern_without_a_file_is_an_error_that_lists_what_is_there(server):
    server.add(NAME, FILES)
    with pytest.raises(InputError) as error:
        fetch("train/*.parquet", "valid*")
    assert len(error.value.faults) == 2
    for part in ("source toy", "toy/rows", "'train/*.parquet'", "data/train.jsonl", "correct `files`"):
        assert part in error.value.faults[0]


SHARDS = {f"data/train-{number}.txt": b"%d" % number for number in range(6)}
# In the order of sha256("toy/rows\0data/train-N.txt").
CHOSEN = ["data/train-4.txt", "data/train-3.txt", "data/train-1.txt"]


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_shards_are_chosen_by_the_hash_of_their_names_and_come_in_the_order_of_their_paths(server, shards):
    server.add(NAME, FILES | SHARDS)
    assert [entry["name"] for entry in fetch("data/train-?.txt", shards=shards)] == sorted(CHOSEN[:shards])


def test_a_file_more_in_the_repository_takes_the_place_of_one_and_leaves_the_others(server):
    server.add(NAME, SHARDS | {"data/train-7.txt": b"7"})  # whose hash is smaller than that of CHOSEN[1]
    found = {entry["name"] for entry in fetch("data/train-?.txt", shards=3)}
    assert found == {*CHOSEN[:2], "data/train-7.txt"}


def test_the_chosen_shards_alone_are_locked_by_their_names(server):
    server.add(NAME, SHARDS)
    fetch("data/train-?.txt", shards=2)
    assert list(yaml.safe_load(PINS.read_text())["hub"][f"{NAME}@main"]["files"]) == sorted(CHOSEN[:2])


def test_as_many_shards_as_there_are_files_is_all_and_more_is_an_error_that_says_how_many_there_are(server):
    server.add(NAME, SHARDS)
    assert len(fetch("data/train-?.txt", shards=6)) == 6
    with pytest.raises(
        InputError,
        match="source toy: toy/rows: `shards` asks for 7 files, the patterns match 6; ask for fewer, or correct `files`",
    ):
        fetch("data/train-?.txt", shards=7, out="again")


def test_offline_only_the_chosen_shards_are_missed(server, monkeypatch):
    commit = server.add(NAME, SHARDS)
    fetch("data/train-5.txt", revision=commit)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError) as error:
        fetch("data/train-?.txt", revision=commit, shards=1, out="again")
    assert [CHOSEN[0] in fault for fault in error.value.faults] == [True]


@pytest.mark.parametrize(
    ("fault", "argument", "wait"), [("429", "7", 7.0), ("503", "", None), ("500", "", None), ("reset", "", None)]
)
def test_what_may_pass_is_tried_again(server, tmp_path, fault, argument, wait):
    server.add(NAME, FILES)
    server.faults = [Fault(fault, r"^(GET|HEAD) .*resolve.*train\.jsonl", 2, argument)]
    fetch("data/train.jsonl")
    assert content(tmp_path, "data/train.jsonl") == SMALL
    assert wait is None or set(server.waits) <= {wait}


@pytest.mark.parametrize("pattern", ["/revision/", "/tree/"])
def test_a_busy_listing_is_tried_again(server, tmp_path, pattern):
    server.add(NAME, FILES)
    server.faults = [Fault("503", pattern, 2)]
    fetch("data/train.jsonl")
    assert content(tmp_path, "data/train.jsonl") == SMALL


@pytest.mark.parametrize("fault", ["flip", "truncate", "short", "html", "wrong_commit"])
@pytest.mark.parametrize("name", ["data/train.jsonl", "data/train-2.txt"])
def test_wrong_bytes_are_never_kept(server, tmp_path, fault, name):
    server.add(NAME, FILES)
    server.faults = [Fault(fault, rf"^(GET|HEAD) .*resolve.*{name}$", 2)]
    fetch(name)
    assert content(tmp_path, name) == FILES[name]


def test_bytes_that_stay_wrong_are_refused_with_both_hashes(server, tmp_path):
    server.add(NAME, FILES)
    server.faults = [Fault("flip", r"resolve.*train-2\.txt$")]
    with pytest.raises(
        InputError,
        match=r"source toy: toy/rows@\w{40}: data/train-2\.txt: the file is not that of the hub's listing: \w{64} instead of \w{64}",
    ):
        fetch()
    assert not list(CACHE.rglob("train-2.txt"))
    assert not (tmp_path / "out/raw").exists()


def test_a_hub_that_stays_down_ends_in_an_error_and_the_next_run_goes_on(server, tmp_path):
    server.add(NAME, FILES)
    server.faults = [Fault("503", r"resolve.*train\.jsonl$")]
    with pytest.raises(InputError, match=r"HTTP 503 \(6 tries\); check the network, then run the same command again"):
        fetch()
    server.faults = []
    fetch()
    assert len(server.requests(r"^GET .*resolve.*train-2\.txt$")) == 1
    assert content(tmp_path, "data/train.jsonl") == SMALL


def test_a_killed_download_goes_on_where_it_stopped(server, tmp_path, monkeypatch):
    server.add(NAME, FILES)
    server.faults = [Fault("truncate", r"resolve.*train-2\.txt$", 1)]
    monkeypatch.setattr(retry, "TRIES", 1)
    with pytest.raises(InputError, match="bytes came"):
        fetch()
    fetch()
    assert server.requests(r"^GET .*resolve.*train-2\.txt")[1].endswith(f"bytes={len(LARGE) // 2}-")
    assert content(tmp_path, "data/train-2.txt") == LARGE
    assert not [path for path in CACHE.rglob("parts/*") if path.is_file()]


def test_a_damaged_file_in_the_store_is_fetched_again(server, tmp_path):
    server.add(NAME, FILES)
    fetch()
    [stored] = CACHE.rglob("files/data/train.jsonl")
    (tmp_path / "out/raw/data/train.jsonl").unlink()
    stored.write_bytes(SMALL[:-1] + b"x")
    fetch(out="again")
    assert content(tmp_path, "data/train.jsonl", "again") == SMALL


def test_a_repository_that_is_gone_is_not_tried_again(server):
    with pytest.raises(
        InputError, match=r"source toy: toy/rows: HTTP 404: there is no such repository: it was deleted or ren"
    ):
        fetch()
    assert server.waits == []


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            {"revision": "0" * 40},
            r"toy/rows@0{40}: HTTP 404: the repository does not have this commit: .* correct `revision`",
        ),
        ({"branch": "other"}, "toy/rows: HTTP 404: there is no such branch; correct `branch`"),
        (
            {"branch": CONVERTED},
            "no branch of converted files of it: it converts no data set with a loading script any more; name files of main",
        ),
    ],
)
def test_a_commit_or_branch_that_is_not_there_is_named(server, place, message):
    server.add(NAME, FILES)
    with pytest.raises(InputError, match=message):
        fetch(**place)


@pytest.mark.parametrize("gone", ["listing", "file"])
def test_a_locked_commit_of_the_converted_branch_that_is_gone_says_how_to_go_on(server, tmp_path, gone):
    first = server.add(NAME, {"default/train/0000.parquet": b"old"}, branch=CONVERTED)
    fetch("default/train/*", branch=CONVERTED)
    server.repositories[NAME].clear()  # the branch is deleted and made anew
    server.add(NAME, {"default/train/0000.parquet": b"new"}, branch=CONVERTED)
    if gone == "listing":
        shutil.rmtree(CACHE / "hub")
    else:
        [stored] = CACHE.rglob("files/default/train/0000.parquet")
        stored.unlink()
    with pytest.raises(
        InputError,
        match=rf"toy/rows@{first}.*HTTP 404: what was locked is gone: the hub makes its branch of converted files anew .* "
        "take the files of today with `f2llm lock --refresh toy`, or name files of main, whose commits stay",
    ):
        fetch("default/train/*", branch=CONVERTED, out="again")
    lock_files(order("default/train/*", branch=CONVERTED).fetch, owner="source toy", refresh=True)
    fetch("default/train/*", branch=CONVERTED, out="again")
    assert content(tmp_path, "default/train/0000.parquet", "again") == b"new"


def test_a_locked_commit_of_main_that_is_gone_says_how_to_refresh(server):
    server.add(NAME, FILES)
    fetch()
    server.repositories[NAME].clear()
    server.add(NAME, FILES | {"more": b""})
    shutil.rmtree(CACHE / "hub")
    with pytest.raises(
        InputError, match="what was locked is gone, since its history was rewritten; take the files of today"
    ):
        fetch(out="again")


def test_splits_that_the_hub_converted_in_part_are_named(server, caplog):
    server.add(NAME, {"default/partial-train/0000.parquet": b"a", "default/test/0000.parquet": b"b"}, branch=CONVERTED)
    fetch("default/test/*", branch=CONVERTED)
    assert "remarks" not in read_json("out/manifest.json")
    counts = fetch_source(
        order("default/*", branch=CONVERTED), raw="b/raw", manifest="b/manifest.json", on_error="fail"
    )
    remark = f"{NAME}: partial-train: a part of the data, since the hub's conversion to Parquet stops at 5 GB"
    assert read_json("b/manifest.json")["remarks"] == counts["remarks"] == [remark]
    assert f"source toy: {remark}" in caplog.text


def test_a_branch_that_moved_since_it_was_listed_is_named_with_both_commits(server, caplog):
    first = server.add(NAME, FILES)
    fetch()
    assert "has changed" not in caplog.text
    second = server.add(NAME, FILES | {"more": b""})
    PINS.unlink()
    fetch(out="again")
    assert f"main has changed since it was last listed: it was {first}, it is {second} now" in caplog.text


def test_a_renamed_repository_is_fetched_and_its_new_name_told(server, tmp_path, caplog):
    commit = server.add("datasets/new/rows", FILES)
    for path in ("revision/main", f"tree/{commit}"):
        server.redirects[f"/api/{NAME}/{path}"] = f"{server.url}/api/datasets/new/rows/{path}?recursive=true"
    path = f"resolve/{commit}/data/train.jsonl"
    server.redirects[f"/{NAME}/{path}"] = f"{server.url}/datasets/new/rows/{path}"
    fetch("data/train.jsonl")
    assert content(tmp_path, "data/train.jsonl") == SMALL
    assert "source toy: toy/rows: the repository is called new/rows now; name it so in the stanza" in caplog.text


def test_a_disabled_repository_is_named_as_such(server):
    server.add(NAME, FILES)
    server.about[NAME] = {"disabled": True}
    with pytest.raises(
        InputError, match=r"source toy: toy/rows: the hub has disabled the repository; look on its page"
    ):
        fetch()
    server.about.clear()
    server.faults = [Fault("403", "/revision/", argument="X-Error-Message: Access to this resource is disabled.")]
    with pytest.raises(InputError, match=r"source toy: toy/rows: HTTP 403: the hub has disabled the repository"):
        fetch()


def test_a_repository_whose_files_alone_are_gated_is_refused_before_the_first_file(server, monkeypatch):
    server.add(NAME, FILES)
    server.gated[NAME], server.about[NAME] = "hf_other", {"gated": "auto"}
    with pytest.raises(
        InputError, match=r"toy/rows: the repository is gated: it has terms, and HF_TOKEN is not set; accept"
    ):
        fetch()
    assert not server.requests("resolve")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(
        InputError,
        match=r"data/train.*: HTTP 403: the repository is gated: .* the account of HF_TOKEN has not accepted them",
    ):
        fetch()


def test_a_gated_repository_needs_the_token_which_is_written_nowhere(server, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    server.add(NAME, FILES)
    server.gated[NAME] = "hf_secret"
    with pytest.raises(InputError, match="accept its terms on its page, and set HF_TOKEN"):
        fetch()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch("data/train.jsonl")
    assert content(tmp_path, "data/train.jsonl") == SMALL
    written = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert "hf_secret" not in written + caplog.text


def test_offline_all_files_are_named_at_once(server, monkeypatch):
    commit = server.add(NAME, FILES)
    fetch("data/train.jsonl", revision=commit)
    server.log.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch("data/train.jsonl", revision=commit, out="again")
    with pytest.raises(InputError) as error:
        fetch("data/*", revision=commit)
    assert [fault.split(" is not in the store")[0].split(": ")[-1] for fault in error.value.faults] == [
        f"datasets/toy/rows@{commit}: data/test.jsonl".split(": ")[-1], "data/train-2.txt",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"datasets/toy/rows@main: data/\* is not in the store"):
        fetch("data/*")
    assert server.log == []


def test_other_bytes_than_were_locked_are_refused_with_both_hashes(server):
    commit = server.add(NAME, FILES)
    fetch("data/train.jsonl")
    good = sha256_file("out/raw/data/train.jsonl")
    PINS.write_text(PINS.read_text().replace(good, "a" * 64))
    with pytest.raises(InputError, match=f"data/train.jsonl: sha256 is {good}, {PINS} says {'a' * 64}; it has changed"):
        fetch("data/train.jsonl", revision="", out="again")
    assert commit in PINS.read_text()


@pytest.mark.parametrize("path", ["../outside.txt", "a/../../b.txt", "/abs.txt"])
def test_a_listing_may_not_lead_out_of_the_folder(server, tmp_path, path):
    server.add(NAME, {path: b"x", "data/a.txt": b"y"})
    with pytest.raises(InputError, match="could lead out"):
        fetch("*")
    assert not list(tmp_path.rglob("outside.txt"))


def test_loading_scripts_are_neither_fetched_nor_run(server, tmp_path):
    server.add(NAME, FILES | {"rows.py": b"raise SystemExit('run')"})
    fetch()
    assert not list(tmp_path.rglob("rows.py"))


def test_a_dead_repository_may_be_skipped(server):
    fetch_source(order(), raw="out/raw", manifest="out/manifest.json", on_error="skip")
    assert "HTTP 404" in read_json("out/manifest.json")["skipped"]


def test_from_parquet_on_the_hub_to_tables(server, tmp_path):
    made = io.BytesIO()
    pq.write_table(pa.table({"premise": ["a", "a", "b"], "hypothesis": ["x", "y", "z"], "label": [0, 2, -1]}), made)
    server.add(NAME, {"plain_text/train-0.parquet": made.getvalue()})
    fetch("plain_text/train-*.parquet")
    reading = Reading(name="toy", task="retrieval", adapter="nli")
    counts = normalise_source(
        reading, raw="out/raw", manifest="out/manifest.json", folder=tmp_path / "tables", on_error="fail"
    )
    assert (counts["queries_kept"], counts["passages_kept"]) == (1, 2)
    assert counts["queries_skipped"] == {"row has no gold label": 1}
    json.dumps(counts)
