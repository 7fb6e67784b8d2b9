"""Jobs take digests over from the process that planned them, while the code is the same."""

import json
import os

import pytest

from f2llm import digests
from f2llm.digests import VARIABLE, Digests

SCRIPT = "workflow/scripts/check_gate.py"


@pytest.fixture
def counted(monkeypatch):
    asked = []
    monkeypatch.setattr(digests, "code_digest", lambda *paths: asked.append(paths) or f"digest {len(asked)}")
    monkeypatch.setenv(VARIABLE, "")
    return asked


def test_a_job_asks_nothing_that_the_planning_process_knows(counted):
    assert Digests(shared=False).of(SCRIPT) == "digest 1"
    assert Digests(shared=True).of(SCRIPT) == "digest 1"
    assert counted == [(SCRIPT,)]


def test_changed_code_is_digested_anew(counted, monkeypatch):
    Digests(shared=False).of(SCRIPT)
    monkeypatch.setattr(digests, "code_hash", lambda: "another")
    assert Digests(shared=True).of(SCRIPT) == "digest 2"


def test_the_planning_process_trusts_nobody(counted):
    os.environ[VARIABLE] = json.dumps({"hash": digests.code_hash(), "digests": {SCRIPT: "old"}})
    assert Digests(shared=False).of(SCRIPT) == "digest 1"
