import json
import os
import platform
import shutil
import subprocess
import sys

import psutil
import pytest

from f2llm.jobs import lock
from f2llm.jobs.lock import acquire, is_held, release
from f2llm.records.errors import InputError


def write(path, *, host=None, process=None, started=None):
    owner = {
        "host": host or platform.node(),
        "process": process or os.getpid(),
        "started": started if started is not None else 0.0,
    }
    path.write_text(json.dumps(owner))


def test_a_free_lock_is_taken_and_given_back(tmp_path):
    acquire(tmp_path / ".lock")
    assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()
    release(tmp_path / ".lock")
    assert not (tmp_path / ".lock").exists()


def test_a_live_run_is_not_disturbed(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        write(tmp_path / ".lock", process=other.pid, started=psutil.Process(other.pid).create_time())
        with pytest.raises(InputError, match=f"process {other.pid} .* is running on these results"):
            acquire(tmp_path / ".lock")
    finally:
        other.kill()
        other.wait()


def test_a_killed_run_is_taken_over(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write(tmp_path / ".lock", process=other.pid, started=psutil.Process(other.pid).create_time())
    other.kill()
    other.wait()
    acquire(tmp_path / ".lock")
    assert json.loads((tmp_path / ".lock").read_text())["process"] == os.getpid()


def test_a_process_number_used_again_is_not_taken_for_the_owner(tmp_path):
    write(tmp_path / ".lock", process=os.getppid(), started=1.0)
    acquire(tmp_path / ".lock")


@pytest.mark.parametrize(
    ("owner", "held"),
    [({"process": os.getppid(), "started": psutil.Process(os.getppid()).create_time()}, True),
     ({"process": os.getppid(), "started": 1.0}, False), ({"host": "another", "process": 1}, True)],
)  # fmt: skip
def test_a_lock_is_held_while_its_owner_lives_or_cannot_be_asked(tmp_path, owner, held):
    assert not is_held(tmp_path / ".lock")
    write(tmp_path / ".lock", **owner)
    assert is_held(tmp_path / ".lock") is held


def test_a_torn_lock_is_taken_over(tmp_path):
    (tmp_path / ".lock").write_text('{"host": "n1"')
    acquire(tmp_path / ".lock")


def test_a_run_on_another_host_is_not_disturbed(tmp_path):
    write(tmp_path / ".lock", host="another-host")
    with pytest.raises(InputError, match="another host"):
        acquire(tmp_path / ".lock")


def test_release_leaves_the_lock_of_another(tmp_path):
    write(tmp_path / ".lock", process=os.getppid(), started=1.0)
    release(tmp_path / ".lock")
    assert (tmp_path / ".lock").exists()
    assert lock._read(tmp_path / ".lock").process == os.getppid()


def test_a_copy_is_not_locked_by_the_run_of_the_folder_that_it_was_copied_from(tmp_path):
    (tmp_path / "results").mkdir()
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        owner = lock._this_process(tmp_path / "results" / ".lock")
        owner = owner._replace(process=other.pid, started=psutil.Process(other.pid).create_time())
        (tmp_path / "results" / ".lock").write_text(json.dumps(owner._asdict()))
        shutil.copytree(tmp_path / "results", tmp_path / "copy")
        (tmp_path / "results").rename(tmp_path / "moved")

        assert is_held(tmp_path / "moved" / ".lock")
        with pytest.raises(InputError, match="is running on these results"):
            acquire(tmp_path / "moved" / ".lock")
        assert not is_held(tmp_path / "copy" / ".lock")
        acquire(tmp_path / "copy" / ".lock")
        assert json.loads((tmp_path / "copy" / ".lock").read_text())["folder"] == str(tmp_path / "copy")
    finally:
        other.kill()
        other.wait()
