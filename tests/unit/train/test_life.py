"""Alone in a folder, stopped in order."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from f2llm.records.errors import InputError
from f2llm.train import life


def test_a_second_trainer_is_refused_and_a_dead_one_is_not_in_the_way(tmp_path, monkeypatch):
    monkeypatch.setattr(life, "LOCK_SECONDS", 0.0)
    held = life.lock_folder(tmp_path / "run")
    with pytest.raises(InputError, match="another trainer is running on this folder"):
        life.lock_folder(tmp_path / "run")
    os.close(held)  # as the end of a process does
    os.close(life.lock_folder(tmp_path / "run"))


def test_sigterm_is_noted_and_does_not_end_the_step():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        stop = life.StopRequest()
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)


def test_a_worker_that_waits_for_a_dead_one_is_told_after_a_while(monkeypatch):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        siblings = life.Siblings(os.getpid(), count=len(psutil.Process().children()))
        monkeypatch.setattr(life, "GRACE_SECONDS", 0.0)
        assert not siblings.long_gone()
        other.kill()
        other.wait()
        assert siblings.long_gone()
        monkeypatch.setattr(life, "GRACE_SECONDS", 60.0)
        assert not siblings.long_gone()
