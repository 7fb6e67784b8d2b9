"""Nodes must share files, clock and software with the login node."""

import time

import pytest

from f2llm.jobs import node
from f2llm.jobs.node import announce, check_node, clock_faults, write_faults
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json


@pytest.fixture
def announced(tmp_path, monkeypatch):
    monkeypatch.setenv(node.TOKEN, "")
    announce(tmp_path)
    return tmp_path


def test_a_node_that_sees_the_same_passes(announced):
    check_node(announced, patience=0)
    assert [path.name for path in announced.iterdir()] == [node.NOTE]


def test_without_an_announcement_nothing_is_checked(tmp_path, monkeypatch):
    monkeypatch.delenv(node.TOKEN, raising=False)
    check_node(tmp_path / "nowhere", patience=0)


def test_a_folder_that_is_not_shared_is_said_so(announced, tmp_path_factory):
    with pytest.raises(InputError, match="is not the folder that the login node sees; put the checkout"):
        check_node(tmp_path_factory.mktemp("own"), patience=0)


def test_the_note_of_an_earlier_run_does_not_count(announced, monkeypatch):
    monkeypatch.setenv(node.TOKEN, "another")
    with pytest.raises(InputError, match="not the folder that the login node sees"):
        check_node(announced, patience=0)


def test_other_packages_and_other_code_are_named_at_once(announced):
    note = read_json(announced / node.NOTE)
    write_json(
        announced / node.NOTE, note | {"versions": note["versions"] | {"torch": "1.0", "extra": "2"}, "code": "0"}
    )
    with pytest.raises(InputError) as found:
        check_node(announced, patience=0)
    first, second, third = found.value.faults
    assert "extra is missing, on the login node 2" in first
    assert "torch " in second and "on the login node 1.0; use one environment" in second
    assert "other code than on the login node" in third


@pytest.mark.parametrize(("away", "faults"), [(29, 0), (-29, 0), (40, 1), (-40, 1)])
def test_clocks_far_apart_are_a_fault(tmp_path, monkeypatch, away, faults):
    real = time.time
    monkeypatch.setattr(node.time, "time", lambda: real() + away)
    assert len(clock_faults(tmp_path)) == faults


def test_a_place_that_cannot_be_written_to_is_said_so():
    (fault,) = write_faults("/proc/self")  # not even root may
    assert "/proc/" in fault and "cannot be written to" in fault
