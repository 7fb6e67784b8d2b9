import os
import subprocess
import sys

import pytest

from f2llm.config.fetch import Fetch, Order
from f2llm.config.rights import Licence
from f2llm.fetch import packages
from f2llm.fetch.fetch import CACHE, fetch_files, fetch_source
from f2llm.fetch.packages import download_wheel, pip_arguments
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file, sha256_path

RIGHTS = Licence(id="MIT", commercial="yes", note="")


def fetch(*files, on_error="fail", name="toy"):
    order = Order(name=name, task="retrieval", licence=RIGHTS, fetch=files)
    return fetch_source(order, raw=f"{name}/raw", manifest=f"{name}/manifest.json", on_error=on_error)


def test_a_wheel_is_put_into_raw_and_recorded(wheel, pinned, index):
    path = wheel({"a.txt": "one"})
    fetch(pinned(path))
    assert sha256_file(f"toy/raw/{path.name}") == sha256_file(path)
    assert read_json("toy/manifest.json") == {
        "source": "toy",
        "task": "retrieval",
        "licence": {"id": "MIT", "commercial": "yes", "note": ""},
        "files": [
            {
                "kind": "package", "package": "toy", "version": "1.0", "name": path.name,
                "bytes": path.stat().st_size, "sha256": sha256_file(path),
            }
        ],
    }  # fmt: skip


def test_a_wheel_of_several_sources_is_downloaded_once_and_stored_once(wheel, pinned, index):
    path = wheel({"a.txt": "one"})
    fetch(pinned(path), name="one")
    fetch(pinned(path), name="two")
    assert len(index) == 1
    assert os.path.samefile(f"one/raw/{path.name}", f"two/raw/{path.name}")


def test_a_damaged_file_in_the_cache_is_downloaded_again(wheel, pinned, index):
    path = wheel({"a.txt": "one"})
    fetch(pinned(path), name="one")
    os.remove(f"one/raw/{path.name}")
    (CACHE / sha256_file(path) / path.name).write_text("damaged")
    fetch(pinned(path), name="two")
    assert len(index) == 2
    assert sha256_file(f"two/raw/{path.name}") == sha256_file(path)


def test_what_a_killed_download_left_is_cleared(wheel, pinned, index):
    pin = pinned(wheel({"a.txt": "one"}))
    half = CACHE / f".{pin.sha256}.part"
    half.mkdir(parents=True)
    (half / "half-1.0-py3-none-any.whl").write_text("half")
    fetch(pin)
    assert not list(CACHE.glob("*.part"))


def test_another_hash_names_source_file_and_both_hashes_and_leaves_nothing(wheel, pinned, index):
    path = wheel({"a.txt": "one"})
    with pytest.raises(InputError) as error:
        fetch(pinned(path, sha256="0" * 64))
    for part in ("source toy", path.name, "0" * 64, sha256_file(path)):
        assert part in str(error.value)
    assert not list(CACHE.rglob("*.whl"))
    assert not os.path.exists("toy/raw")


def test_failures_that_may_pass_are_tried_three_times(wheel, pinned, monkeypatch, index):
    path = wheel({"a.txt": "one"})
    working, answers = packages.run_pip, [(1, "ERROR: connection reset"), (1, "(from versions: none)")]
    monkeypatch.setattr(packages, "run_pip", lambda arguments: answers.pop(0) if answers else working(arguments))
    assert download_wheel(pinned(path), path.parent.parent, owner="source toy").name == path.name
    assert answers == []


@pytest.mark.parametrize(
    ("said", "calls"), [("(from versions: none)", 3), ("(from versions: 0.9, 1.1)", 1), ("No module named pip", 1)]
)
def test_a_wheel_that_cannot_be_had_is_named_with_what_to_do(tmp_path, monkeypatch, index, said, calls):
    made = []
    monkeypatch.setattr(packages, "run_pip", lambda arguments: made.append(1) or (1, said))
    with pytest.raises(InputError, match="source toy: gone==1.0: pip could not download") as error:
        download_wheel(Fetch(kind="package", package="gone", version="1.0"), tmp_path, owner="source toy")
    assert "run the same command again" in str(error.value)
    assert len(made) == calls


def test_what_pip_says_is_kept_without_credentials(monkeypatch):
    done = subprocess.CompletedProcess([], 1, "Looking in https://user:secret@host/simple", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    code, said = packages.run_pip(["download"])
    assert (code, said) == (1, "Looking in https://host/simple")


def test_pip_may_never_build_or_install(tmp_path):
    arguments = pip_arguments(Fetch(kind="package", package="toy", version="1.0"), tmp_path)
    assert arguments[0] == "download"
    assert arguments[arguments.index("--only-binary") + 1] == ":all:"
    assert "--no-deps" in arguments
    assert "--platform" not in arguments


def test_a_compiled_wheel_is_fetched_for_one_target_whatever_runs_here(tmp_path):
    fetch = Fetch(kind="package", package="toy", version="1.0", platform="manylinux_2_28_x86_64")
    arguments = pip_arguments(fetch, tmp_path)
    for option, value in (
        ("--platform", "manylinux_2_28_x86_64"),
        ("--python-version", "3.11"),
        ("--implementation", "cp"),
        ("--abi", "cp311"),
    ):
        assert arguments[arguments.index(option) + 1] == value


def test_the_real_pip_gets_a_wheel_from_a_folder(wheel, pinned, monkeypatch, tmp_path):
    about = {"toy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"}
    path = wheel({"toy.py": "", "toy-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "toy-1.0.dist-info/RECORD": ""} | about)  # fmt: skip
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    fetch(pinned(path))
    assert sha256_file(f"toy/raw/{path.name}") == sha256_file(path)
    assert "toy" not in sys.modules


def test_a_local_file_is_copied_and_its_hash_recorded(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n")
    fetch(Fetch(kind="local", path="rows.csv"))
    (tmp_path / "rows.csv").write_text("edited later")
    [entry] = read_json("toy/manifest.json")["files"]
    assert entry["sha256"] == sha256_file("toy/raw/rows.csv")
    assert (tmp_path / "toy/raw/rows.csv").read_text() == "a,b\n"


def test_a_local_folder_keeps_its_inner_paths_and_is_pinned_as_a_whole(tmp_path):
    (tmp_path / "data/inner").mkdir(parents=True)
    (tmp_path / "data/inner/rows.csv").write_text("a\n")
    fetch(Fetch(kind="local", path="data", sha256=sha256_path("data")))
    assert [entry["name"] for entry in read_json("toy/manifest.json")["files"]] == ["data/inner/rows.csv"]
    with pytest.raises(InputError, match=f"data: sha256 is {sha256_path('data')}, the stanza pins {'0' * 64}"):
        fetch(Fetch(kind="local", path="data", sha256="0" * 64))


@pytest.mark.parametrize("path", ["../outside.csv", "/etc/hostname", "link.csv", "folder", "."])
def test_a_local_path_may_not_leave_the_working_directory(tmp_path, monkeypatch, path):
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (tmp_path / "outside.csv").write_text("a\n")
    (inside / "link.csv").symlink_to(tmp_path / "outside.csv")
    (inside / "folder/link.csv").symlink_to(tmp_path / "outside.csv")
    monkeypatch.chdir(inside)
    with pytest.raises(InputError, match="lies outside"):
        fetch(Fetch(kind="local", path=path))


def test_linked_folders_are_copied_and_hidden_files_are_not(tmp_path, caplog):
    for name in ("data/a.jsonl", "real/b.jsonl", "data/.ipynb_checkpoints/a.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "data/part2").symlink_to("../real")
    fetch(Fetch(kind="local", path="data"))
    assert [entry["name"] for entry in read_json("toy/manifest.json")["files"]] == [
        "data/a.jsonl",
        "data/part2/b.jsonl",
    ]
    assert not (tmp_path / "toy/raw/data/part2").is_symlink()
    assert "source toy: hidden, so passed over: data/.ipynb_checkpoints" in caplog.text


def test_bad_links_of_a_folder_are_all_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/up").symlink_to("..")
    (tmp_path / "data/gone").symlink_to("nowhere")
    with pytest.raises(InputError) as found:
        fetch(Fetch(kind="local", path="data"))
    assert [fault.split(" link ")[1] for fault in found.value.faults] == [
        "that leads nowhere; correct or delete it", f"back to {tmp_path}, in which it lies; delete it",
    ]  # fmt: skip


def test_a_missing_local_file_is_named():
    with pytest.raises(InputError, match="source toy: gone.csv: there is no such file or folder"):
        fetch(Fetch(kind="local", path="gone.csv"))


def test_two_files_of_one_name_are_refused(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rows.csv").write_text(folder)
    pair = [Fetch(kind="local", path="one/rows.csv"), Fetch(kind="local", path="two/rows.csv")]
    with pytest.raises(InputError, match=r"two files are named 'rows\.csv'"):
        fetch_files(pair, tmp_path / "raw", owner="source toy")


def test_a_source_that_may_be_skipped_leaves_an_empty_folder_and_the_reason(tmp_path):
    (tmp_path / "rows.csv").write_text("a\n")
    counts = fetch(Fetch(kind="local", path="rows.csv"), Fetch(kind="local", path="gone.csv"), on_error="skip")
    assert list((tmp_path / "toy/raw").iterdir()) == []
    assert "gone.csv" in read_json("toy/manifest.json")["skipped"]
    assert "gone.csv" in counts["skipped"]


def test_what_a_killed_job_left_aside_is_cleared(wheel, pinned, index, tmp_path):
    (tmp_path / "toy/.raw.abc.part").mkdir(parents=True)
    (tmp_path / "toy/.raw.abc.part/half").write_text("half")
    fetch(pinned(wheel({"a.txt": "one"})))
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["manifest.json", "raw"]


def test_the_time_stamp_of_the_workflow_engine_does_not_change_a_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/a").write_text("a")
    before = sha256_path("folder")
    (tmp_path / "folder/.snakemake_timestamp").touch()
    assert sha256_path("folder") == before
    (tmp_path / "folder/b").touch()
    assert sha256_path("folder") != before
