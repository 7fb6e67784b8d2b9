"""Which files of a folder are data."""

import os

import pytest

from f2llm.rows.files import is_hidden, list_files, local_files


@pytest.fixture
def tree(write):
    """Return a function that makes files below `data`."""
    return lambda *names: [write(f"data/{name}", "x") for name in names]


def names(listing):
    return [str(path) for path in listing.files]


def test_hidden_files_and_folders_are_no_data_and_are_named(tree):
    tree("a.csv", ".b.csv", ".ipynb_checkpoints/a.csv", "c/.DS_Store", "c/d.csv", ".snakemake_timestamp")
    listing = list_files("data")
    assert names(listing) == ["data/a.csv", "data/c/d.csv"]
    assert listing.remark == "hidden, so passed over: data/.b.csv, data/.ipynb_checkpoints, data/c/.DS_Store"
    assert is_hidden("a/._b.csv")
    assert not is_hidden("a.b/c.csv")


def test_a_hidden_file_that_is_named_itself_is_data(tree):
    tree(".b.csv")
    assert names(list_files("data/.b.csv")) == ["data/.b.csv"]


def test_linked_folders_and_files_below_the_working_directory_are_followed(tree, write):
    tree("part1/a.csv")
    write("real/b.csv", "x")
    os.symlink("../real", "data/part2")
    os.symlink("../real/b.csv", "data/c.csv")
    listing = list_files("data")
    assert names(listing) == ["data/c.csv", "data/part1/a.csv", "data/part2/b.csv"]
    assert listing.faults == []
    assert local_files("data") == listing.files


def test_links_that_lead_out_back_or_nowhere_are_refused_by_name(tree, write, tmp_path_factory):
    tree("a.csv", "b/c.csv")
    outside = tmp_path_factory.mktemp("outside")
    os.symlink(outside, "data/far")
    os.symlink("..", "data/b/up")
    os.symlink(".", "data/here")
    os.symlink("gone", "data/nothing")
    os.symlink("loop", "data/loop")
    listing = list_files("data")
    assert names(listing) == ["data/a.csv", "data/b/c.csv"]
    assert [fault.split("; ")[0].replace(str(outside), "OUT") for fault in listing.faults] == [
        f"data/b/up: is a link back to {os.getcwd()}/data, in which it lies",
        f"data/far: is a link to OUT, which lies outside {os.getcwd()}",
        f"data/here: is a link back to {os.getcwd()}/data, in which it lies",
        "data/loop: is a link that leads nowhere", "data/nothing: is a link that leads nowhere",
    ]  # fmt: skip
    assert list_files("data", within=[outside]).faults[1].startswith("data/here")


def test_two_folders_that_are_linked_into_each_other_are_no_endless_circle(tree):
    tree("one/a.csv", "two/b.csv")
    os.symlink("../two", "data/one/other")
    os.symlink("../one", "data/two/other")
    listing = list_files("data")
    assert names(listing) == ["data/one/a.csv", "data/one/other/b.csv", "data/two/b.csv", "data/two/other/a.csv"]
    assert len(listing.faults) == 2


@pytest.mark.parametrize("path", ["..", "/etc/hostname", "data/../..", "gone"])
def test_what_lies_outside_is_no_local_file(tree, path):
    tree("a.csv")
    assert local_files(path) == []


def test_a_name_that_is_not_utf_8_is_refused(tree):
    tree("a.csv")
    (bad := os.open(b"data/b\xff.csv", os.O_CREAT | os.O_WRONLY)) and os.close(bad)
    assert [fault.split(": ")[1] for fault in list_files("data").faults] == ["its name is not valid UTF-8; rename it"]
