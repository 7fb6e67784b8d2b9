"""A kept hash holds as long as nothing can have changed the file, and never longer."""

import os
import time

import pytest

from f2llm.records import hashes
from f2llm.records.files import sha256_file, sha256_path

LARGE = "x" * hashes.LEAST_BYTES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hashed(monkeypatch):
    """Paths of the files that were read and hashed."""
    paths = []
    monkeypatch.setattr(hashes, "sha256_file", lambda path: (paths.append(str(path)), sha256_file(path))[1])
    return paths


def write(path, text):
    path.write_text(text)
    time.sleep(hashes.TICK_SECONDS * 1.5)


def test_a_large_file_is_hashed_once_and_again_when_it_changed(folder, hashed):
    write(folder / "a", LARGE)
    assert hashes.kept_sha256("a") == hashes.kept_sha256("a") == sha256_path("a")
    assert hashed == ["a"]

    write(folder / "a", LARGE + "y")
    assert hashes.kept_sha256("a") == sha256_path("a")
    assert len(hashed) == 2


def test_a_file_that_was_edited_in_place_with_its_size_and_date_restored_is_hashed_again(folder):
    write(folder / "a", LARGE)
    before, stat = hashes.kept_sha256("a"), os.stat("a")
    write(folder / "a", LARGE.replace("x", "y"))
    os.utime("a", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hashes.kept_sha256("a") == sha256_path("a") != before


def test_a_file_replaced_by_an_older_one_of_its_size_is_hashed_again(folder):
    for name, letter in (("a", "x"), ("b", "y")):
        write(folder / name, letter * hashes.LEAST_BYTES)
        os.utime(name, (1_700_000_000, 1_700_000_000))
    before = hashes.kept_sha256("a")
    os.replace("b", "a")
    assert hashes.kept_sha256("a") == sha256_path("a") != before


def test_the_hash_of_a_file_that_was_written_just_now_is_not_kept(folder, hashed):
    (folder / "a").write_text(LARGE)
    hashes.kept_sha256("a")
    time.sleep(hashes.TICK_SECONDS * 1.5)
    hashes.kept_sha256("a")
    hashes.kept_sha256("a")
    assert len(hashed) == 2


def test_a_torn_entry_and_a_folder_that_takes_none_are_passed_over(folder):
    write(folder / "a", LARGE)
    sha256 = hashes.kept_sha256("a")
    [entry] = (folder / hashes.KEPT).iterdir()
    entry.write_text("[1, 2")
    assert hashes.kept_sha256("a") == sha256
    entry.unlink()
    (folder / hashes.KEPT).rmdir()
    (folder / hashes.KEPT).write_text("no folder")
    assert hashes.kept_sha256("a") == sha256


def test_a_folder_has_the_hash_of_its_listing(folder):
    (folder / "f").mkdir()
    write(folder / "f" / "large", LARGE)
    write(folder / "f" / "small", "s")
    assert hashes.kept_sha256("f") == sha256_path("f")


def test_the_content_of_files_is_their_names_and_bytes_and_no_date(folder):
    write(folder / "a", "1")
    before = hashes.content_digest(["a", "missing"])
    os.utime("a", (1, 1))
    assert hashes.content_digest(["a", "missing"]) == before
    write(folder / "a", "2")
    assert hashes.content_digest(["a", "missing"]) != before
    assert hashes.content_digest(["a"]) != hashes.content_digest(["a", "missing"])
