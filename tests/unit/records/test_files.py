import os

import pytest

from f2llm.records.files import atomic_folder, atomic_open, read_json, sha256_path, write_json


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(b"old")

    with pytest.raises(RuntimeError), atomic_open(path) as file:
        file.write(b"half")
        raise RuntimeError

    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["table"]


def test_a_failing_writer_leaves_the_old_folder_and_nothing_else(tmp_path):
    path = tmp_path / "model"
    with atomic_folder(path) as aside:
        (aside / "weights").write_bytes(b"old")

    with pytest.raises(RuntimeError), atomic_folder(path) as aside:
        (aside / "weights").write_bytes(b"half")
        raise RuntimeError

    assert (path / "weights").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


def test_a_new_folder_takes_the_place_of_the_old_one_whole(tmp_path):
    path = tmp_path / "model"
    for name in ("first", "second"):
        with atomic_folder(path) as aside:
            (aside / name).write_bytes(b"x")

    assert os.listdir(path) == ["second"]


def test_json_is_the_same_bytes_for_the_same_content(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "b", {"a": [1.5, None], "b": 1})

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_json(tmp_path / "a") == {"a": [1.5, None], "b": 1}


def test_a_folder_hash_sees_names_and_contents(tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"1")
    first = sha256_path(tmp_path / "m")
    (tmp_path / "m" / "a").rename(tmp_path / "m" / "b")
    second = sha256_path(tmp_path / "m")
    (tmp_path / "m" / "b").write_bytes(b"2")

    assert len({first, second, sha256_path(tmp_path / "m")}) == 3


def test_a_file_that_is_no_json_is_named(tmp_path):
    for content in (b"{", b"\xff\xfe{}"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.json: not JSON .*; restore it"):
            read_json(tmp_path / "a.json")
