import logging

from f2llm.jobs import progress as module
from f2llm.jobs.progress import Progress, progress


def lines(caplog, monkeypatch, *, every):
    monkeypatch.setattr(module, "LOG_SECONDS", every)
    monkeypatch.setattr(module, "TERMINAL_SECONDS", every)
    caplog.set_level(logging.INFO)
    with Progress("encode", total=4, unit="passages") as bar:
        bar.advance(2)
        bar.advance(2)
    return [record.getMessage() for record in caplog.records]


def test_long_work_says_how_far_how_fast_and_how_long_still(caplog, monkeypatch):
    first, second, last = lines(caplog, monkeypatch, every=0.0)
    assert first.startswith("encode: 2/4 (50 %) passages, ")
    assert "/s, ETA " in first
    assert last.endswith("done")


def test_short_work_says_nothing(caplog, monkeypatch):
    assert lines(caplog, monkeypatch, every=60.0) == []


def test_items_pass_through():
    assert list(progress([1, 2], "count", total=None, unit="items")) == [1, 2]
