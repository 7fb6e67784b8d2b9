"""Locks between processes: given back by closing or dying, several at once or none."""

import os
import subprocess
import sys

from f2llm.records.locks import hold_several, locked, take, take_several


def test_a_lock_has_one_holder_and_is_free_once_it_is_closed(tmp_path):
    held = take(tmp_path / "lock")
    assert take(tmp_path / "lock") is None
    os.close(held)
    again = take(tmp_path / "lock")
    assert again is not None
    os.close(again)


def test_a_folder_can_be_locked_without_a_file_in_it(tmp_path):
    held = take(tmp_path)
    assert take(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    os.close(held)


def test_several_locks_are_taken_together_or_not_at_all(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    held = take(paths[1])
    assert take_several(paths, 3) == {}
    both = take_several(paths, 2)
    assert list(both) == [paths[0], paths[2]]
    for handle in (held, *both.values()):
        os.close(handle)
    with hold_several(paths, count=3, look_seconds=0.01) as all_three:
        assert all_three == paths


def test_the_death_of_its_process_frees_a_lock(tmp_path):
    code = f"import time; from f2llm.records.locks import take; take({str(tmp_path / 'lock')!r}); print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    assert take(tmp_path / "lock") is None
    other.kill()
    other.wait()
    with locked(tmp_path / "lock"):
        assert take(tmp_path / "lock") is None
