import json
import os
import platform
import subprocess
import sys

import psutil
import pytest

from f2llm.errors import InputError
from f2llm.jobs import lock
from f2llm.jobs.lock import acquire, is_held, release


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
