"""Rows of tokens on disk."""

import numpy as np
import pytest

from f2llm.records.errors import InputError
from f2llm.records.ragged import Rows, write_rows


def test_rows_come_back_as_they_were_whatever_the_batches(tmp_path):
    rows = [[1, 2, 3], [], [70_000], [4, 5]]
    assert write_rows(tmp_path / "a", [rows]) == 4
    assert write_rows(tmp_path / "b", [rows[:1], [], rows[1:]]) == 4
    for name in ("a", "b"):
        assert [row.tolist() for row in (Rows(tmp_path / name)[place] for place in range(4))] == rows
    for suffix in (".bin", ".offsets"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_layout_is_little_endian_int32_and_int64(tmp_path):
    write_rows(tmp_path / "a", [[[1, 258]], [[3]]])
    assert (tmp_path / "a.bin").read_bytes() == bytes([1, 0, 0, 0, 2, 1, 0, 0, 3, 0, 0, 0])
    assert np.fromfile(tmp_path / "a.offsets", "<i8").tolist() == [0, 2, 3]


def test_no_rows_are_rows_too(tmp_path):
    assert write_rows(tmp_path / "a", []) == 0
    assert len(Rows(tmp_path / "a")) == 0


def test_a_file_cut_short_is_refused(tmp_path):
    write_rows(tmp_path / "a", [[[1, 2, 3]]])
    (tmp_path / "a.bin").write_bytes(b"\0" * 8)
    with pytest.raises(InputError, match="disagree"):
        Rows(tmp_path / "a")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="missing"):
        Rows(tmp_path / "a")


def test_a_failure_leaves_nothing(tmp_path):
    def broken():
        yield [[1]]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_rows(tmp_path / "a", broken())
    assert list(tmp_path.iterdir()) == []
