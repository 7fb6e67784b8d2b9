"""Digests of code are computed once, for the next call and for the jobs, while the code is the same."""

import json
import os

import pytest

from f2llm.jobs import code
from f2llm.jobs.code import VARIABLE, KeptDigests

SCRIPT = "workflow/scripts/check_gate.py"


@pytest.fixture
def counted(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(code, "code_digest", lambda *paths: asked.append(paths) or f"digest {len(asked)}")
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    return asked


def planning():
    return KeptDigests(kept="kept.json", planning=True)


def a_job():
    return KeptDigests(kept="none.json", planning=False)


def test_a_job_asks_nothing_that_the_planning_process_knows(counted):
    assert planning().of(SCRIPT) == "digest 1"
    assert a_job().of(SCRIPT) == "digest 1"
    assert counted == [(SCRIPT,)]


def test_the_next_call_asks_nothing_either(counted):
    first = planning()
    first.of(SCRIPT)
    first.keep()
    os.environ[VARIABLE] = ""
    assert planning().of(SCRIPT) == "digest 1"
    assert a_job().of(SCRIPT) == "digest 1"


@pytest.mark.parametrize("name", ["code_hash", "result_versions"])
def test_changed_code_or_another_version_is_digested_anew(counted, monkeypatch, name):
    first = planning()
    first.of(SCRIPT)
    first.keep()
    monkeypatch.setattr(code, name, lambda: "another")
    assert a_job().of(SCRIPT) == "digest 2"
    assert planning().of(SCRIPT) == "digest 3"


def test_the_planning_process_trusts_no_environment(counted):
    os.environ[VARIABLE] = json.dumps({"key": planning()._key, "digests": {SCRIPT: "forged"}})
    assert planning().of(SCRIPT) == "digest 1"


def test_a_torn_file_or_a_place_without_write_permission_is_no_fault(counted, tmp_path):
    (tmp_path / "kept.json").write_text("{")
    assert planning().of(SCRIPT) == "digest 1"
    KeptDigests(kept="/proc/self/kept.json", planning=True).keep()
