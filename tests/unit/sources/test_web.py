"""Files of URLs against a server on this machine."""

import hashlib
import time

import pytest
import yaml
from stub_server import Fault

from f2llm.config.fetch import Fetch
from f2llm.fetch import cache, retry, web
from f2llm.fetch.cache import CACHE, host_slot
from f2llm.fetch.fetch import fetch_files
from f2llm.fetch.pins import PINS
from f2llm.fetch.retry import Passing, retried, retry_after
from f2llm.records import locks
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file

CONTENT = bytes(range(256)) * 20
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def fetch(server, out="out", *, path="/files/rows.jsonl", sha256=SHA256, mirrors=()):
    place = Fetch(kind="http", url=server.url + path, sha256=sha256, mirrors=mirrors)
    return fetch_files([place], out, owner="source toy")


@pytest.fixture
def rows(server):
    server.files["/files/rows.jsonl"] = CONTENT
    return server


def test_a_file_is_fetched_once_and_recorded(rows):
    [found] = fetch(rows)
    assert found._asdict() == {
        "kind": "http", "package": f"{rows.url}/files/rows.jsonl", "version": "", "name": "rows.jsonl",
        "bytes": len(CONTENT), "sha256": SHA256,
    }  # fmt: skip
    fetch(rows, "again")
    assert len(rows.log) == 1
    assert sha256_file("again/rows.jsonl") == SHA256
    assert not PINS.exists()


@pytest.mark.parametrize("fault", ["500", "503", "429", "reset", "truncate", "flip"])
def test_what_may_pass_is_tried_again(rows, fault):
    rows.faults = [Fault(fault, times=2)] if fault != "flip" else [Fault(fault, times=1)]
    fetch(rows)
    assert sha256_file("out/rows.jsonl") == SHA256


def test_the_server_says_how_long_to_wait(rows):
    rows.faults = [Fault("429", times=1, argument="17")]
    fetch(rows)
    assert rows.waits == [17.0]


def test_a_broken_download_goes_on_where_it_stopped(rows):
    rows.faults = [Fault("truncate", times=1)]
    fetch(rows)
    assert rows.log[1] == f"GET /files/rows.jsonl bytes={len(CONTENT) // 2}-"


def test_a_killed_download_goes_on_where_it_stopped(rows, monkeypatch):
    rows.faults = [Fault("truncate", times=1)]
    monkeypatch.setattr(retry, "TRIES", 1)
    with pytest.raises(InputError, match=r"2,560 of 5,120 bytes came \(1 tries\)"):
        fetch(rows)
    fetch(rows)
    assert rows.log[1].endswith("bytes=2560-")
    assert sha256_file("out/rows.jsonl") == SHA256


def test_without_a_pinned_hash_only_the_same_version_is_resumed(rows, monkeypatch):
    rows.faults = [Fault("truncate", times=1)]
    monkeypatch.setattr(retry, "TRIES", 1)
    with pytest.raises(InputError, match="bytes came"):
        fetch(rows, sha256="")
    rows.files["/files/rows.jsonl"] = other = CONTENT[::-1]
    [found] = fetch(rows, sha256="")
    assert found.sha256 == hashlib.sha256(other).hexdigest()


def test_an_open_hash_is_locked_at_the_first_fetch_and_holds(rows):
    fetch(rows, sha256="")
    assert yaml.safe_load(PINS.read_text())["http"][f"{rows.url}/files/rows.jsonl"]["sha256"] == SHA256
    rows.files["/files/rows.jsonl"] = b"changed upstream"
    fetch(rows, "again", sha256="")
    assert sha256_file("again/rows.jsonl") == SHA256
    (CACHE / SHA256 / "rows.jsonl").unlink()
    with pytest.raises(
        InputError, match=f"sha256 is {hashlib.sha256(b'changed upstream').hexdigest()}, pinned is {SHA256}"
    ):
        fetch(rows, "anew", sha256="")


def test_a_changed_file_is_refused_with_both_hashes_and_leaves_nothing(rows):
    with pytest.raises(
        InputError, match=f"source toy: .*sha256 is {SHA256}, pinned is {'0' * 64}; the file has changed"
    ):
        fetch(rows, sha256="0" * 64)
    assert len(rows.log) == 2
    assert not [path for path in CACHE.rglob("*") if path.is_file() and path.stat().st_size > 100]


def test_a_web_page_instead_of_the_file_is_refused(rows):
    rows.faults = [Fault("html")]
    with pytest.raises(InputError, match="a web page came instead of the file"):
        fetch(rows, sha256="")
    assert not PINS.exists()


def test_a_mirror_is_asked_when_the_first_place_has_it_not(rows):
    fetch(rows, path="/gone/rows.jsonl", mirrors=(f"{rows.url}/files/rows.jsonl",))
    assert sha256_file("out/rows.jsonl") == SHA256


def test_when_no_place_has_it_all_are_named(rows):
    with pytest.raises(InputError) as error:
        fetch(rows, path="/gone/rows.jsonl", mirrors=(f"{rows.url}/lost/rows.jsonl",))
    assert [fault.split("/")[3] for fault in error.value.faults] == ["gone", "lost"]
    assert all(fault.startswith("source toy: http") for fault in error.value.faults)


def test_offline_a_file_of_the_store_is_enough(rows, monkeypatch):
    fetch(rows)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fetch(rows, "again")
    with pytest.raises(InputError, match="/files/other is not in the store, and HF_HUB_OFFLINE forbids"):
        fetch(rows, path="/files/other")


@pytest.mark.parametrize("path", ["/", "/files/..", "/files/a%2F..%2Fb%5Cc"])
def test_a_url_must_end_in_a_file_name(server, path):
    with pytest.raises(InputError, match="could lead out"):
        fetch(server, path=path)


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after("3") == 3.0
    assert retry_after("-3") == 0.0
    assert retry_after("soon") is None
    assert retry_after(None) is None
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_waits_double_and_are_bounded(server):
    def fail(wait=None):
        raise Passing("down", wait=wait)

    with pytest.raises(InputError, match=r"it: down \(6 tries\)"):
        retried(fail, what="it")
    assert server.waits == [1.0, 2.0, 4.0, 8.0, 16.0]
    server.waits.clear()
    with pytest.raises(InputError):
        retried(lambda: fail(10_000.0), what="it")
    assert set(server.waits) == {retry.MOST_WAIT_SECONDS}


def test_only_a_few_talk_to_one_host_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CONNECTIONS_PER_HOST", 1)
    monkeypatch.setattr(cache, "SECONDS_BETWEEN_LOOKS", 0.01)
    waits, sleep = [], time.sleep
    with host_slot("http://one/a"):
        with host_slot("http://two/a"):
            pass

        def give_up(seconds):
            waits.append(seconds)
            sleep(0)
            raise TimeoutError

        monkeypatch.setattr(locks.time, "sleep", give_up)
        with pytest.raises(TimeoutError), host_slot("http://one/b"):
            pass
    with host_slot("http://one/b"):
        assert waits == [0.01]


def test_a_token_goes_to_its_own_host_only(rows, tmp_path):
    other = type(rows)()
    other.files["/files/b"] = b"b"
    rows.files["/files/a"] = b"a"
    rows.redirects = {"/one": f"{other.url}/files/b", "/two": f"{rows.url}/files/a"}
    for path in ("/one", "/two"):
        web.download(f"{rows.url}{path}", web.PartialFile(tmp_path / "part"), resume=False, token="hf_secret")
    assert rows.authorised == ["/one", "/two", "/files/a"]
    assert other.authorised == []
    other.shutdown()
    other.server_close()
