"""What is locked stays until somebody says otherwise; then the change is shown, and a failure changes nothing."""

import pytest

from f2llm.config.fetch import Fetch
from f2llm.fetch import retry
from f2llm.fetch.fetch import fetch_files
from f2llm.fetch.lock import lock_files
from f2llm.fetch.pins import PINS
from f2llm.records.errors import InputError

NAME = "datasets/toy/rows"
KEY = f"{NAME}@main"
HUB = Fetch(kind="hub", repository="toy/rows", files=("train*",))


def lock(*, refresh):
    return lock_files([HUB], owner="source toy", refresh=refresh)


def test_the_first_time_everything_is_new(server):
    commit = server.add(NAME, {"train.jsonl": b"one"})
    (revision, file) = sorted(lock(refresh=False))
    assert revision == (f"{KEY}: revision", "", commit)
    assert file.what == f"{KEY}: train.jsonl" and len(file.after) == 64


def test_without_refresh_the_locked_commit_holds(server):
    server.add(NAME, {"train.jsonl": b"one"})
    lock(refresh=False)
    server.add(NAME, {"train.jsonl": b"two"})
    assert lock(refresh=False) == []


def test_a_refresh_takes_the_commit_of_today_and_shows_both(server):
    old = server.add(NAME, {"train.jsonl": b"one"})
    lock(refresh=False)
    new = server.add(NAME, {"train.jsonl": b"two"})
    changes = {change.what: change[1:] for change in lock(refresh=True)}
    assert changes[f"{KEY}: revision"] == (old, new)
    assert len(changes) == 2


def test_a_refresh_that_fails_leaves_the_lock_file_as_it_was(server, monkeypatch):
    monkeypatch.setattr(retry, "TRIES", 1)
    server.add(NAME, {"train.jsonl": b"one"})
    lock(refresh=False)
    before = PINS.read_bytes()
    server.add(NAME, {"other.jsonl": b"two"})
    with pytest.raises(InputError, match="no file is named like 'train"):
        lock(refresh=True)
    assert PINS.read_bytes() == before


def test_a_url_whose_file_changed_is_refused_until_it_is_taken_on_purpose(server, tmp_path):
    place = [Fetch(kind="http", url=f"{server.url}/files/a.jsonl")]
    server.files["/files/a.jsonl"] = b"one"
    lock_files(place, owner="source toy", refresh=False)
    server.files["/files/a.jsonl"] = b"two"
    (change,) = lock_files(place, owner="source toy", refresh=True)
    assert change.what == f"{server.url}/files/a.jsonl: sha256" and change.before != change.after
    (found,) = fetch_files(place, tmp_path / "raw", owner="source toy")
    assert (tmp_path / "raw" / found.name).read_bytes() == b"two"
