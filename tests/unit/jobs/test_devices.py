"""Devices of a machine without scheduler: counted without a driver, one job each. All are pretended."""

import subprocess
import sys
import time

import pytest

from f2llm.jobs.devices import VISIBLE, claimed, visible_devices
from f2llm.records.errors import InputError


@pytest.fixture(autouse=True)
def no_scheduler(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


@pytest.mark.parametrize(
    ("said", "devices"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("GPU-ab,GPU-cd", ["GPU-ab", "GPU-cd"])]
)
def test_the_environment_decides(monkeypatch, said, devices):
    monkeypatch.setenv(VISIBLE, said)
    assert visible_devices() == devices


def test_else_the_devices_of_the_machine_count(monkeypatch, tmp_path):
    monkeypatch.delenv(VISIBLE, raising=False)
    for name in ("nvidia10", "nvidia0", "nvidia2", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible_devices(tmp_path) == ["0", "2", "10"]


def test_a_job_sees_only_what_it_holds_and_gives_it_back(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "3,5")
    with claimed(1, locks=tmp_path) as first:
        assert (first, visible_devices()) == (["3"], ["3"])
        monkeypatch.setenv(VISIBLE, "3,5")  # as another process sees it
        with claimed(1, locks=tmp_path) as second:
            assert second == ["5"]
    assert visible_devices() == ["3", "5"]


def test_a_third_job_waits_for_the_first(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0")
    code = f"import time; from f2llm.jobs.devices import claimed\nwith claimed(1, locks={str(tmp_path)!r}): print('held', flush=True); time.sleep(0.4)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    before = time.monotonic()
    with claimed(1, locks=tmp_path) as mine:
        assert mine == ["0"]
        assert time.monotonic() - before >= 0.2
    assert other.wait() == 0


def test_a_killed_job_gives_its_device_back(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0")
    code = f"import time; from f2llm.jobs.devices import claimed\nwith claimed(1, locks={str(tmp_path)!r}): print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    other.kill()
    other.wait()
    with claimed(1, locks=tmp_path) as mine:
        assert mine == ["0"]


def test_more_devices_than_there_are_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0,1")
    with pytest.raises(InputError, match="3 GPUs asked for, this machine has 2"), claimed(3, locks=tmp_path):
        pass


@pytest.mark.parametrize(("devices", "slurm", "count"), [("", None, 1), ("0,1", "7", 1), ("0,1", None, 0)])
def test_nothing_is_claimed_without_devices_on_slurm_or_for_no_device(monkeypatch, tmp_path, devices, slurm, count):
    monkeypatch.setenv(VISIBLE, devices)
    if slurm:
        monkeypatch.setenv("SLURM_JOB_ID", slurm)
    with claimed(count, locks=tmp_path) as mine:
        assert (mine, visible_devices()) == ([], [name for name in devices.split(",") if name])
