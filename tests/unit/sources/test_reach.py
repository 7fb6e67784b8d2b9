"""Whether files can be had is asked before anything runs, a short question a place."""

import hashlib

import pytest

from f2llm.config.fetch import Fetch
from f2llm.fetch import reach as module
from f2llm.fetch.fetch import fetch_files
from f2llm.fetch.reach import reach

CONTENT = b'{"a": 1}\n'
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def web(url, **more):
    return Fetch(kind="http", url=url, **more)


def hub(name="toy/rows", **more):
    return Fetch(kind="hub", repository=name, files=("*.jsonl",), **more)


@pytest.fixture
def served(server):
    server.files["/files/rows.jsonl"] = CONTENT
    server.add("datasets/toy/rows", {"rows.jsonl": CONTENT})
    return server


def test_places_that_answer_are_no_fault_and_nothing_is_downloaded(served):
    found = reach([("source a", [web(f"{served.url}/files/rows.jsonl")]), ("source b", [hub()])])
    assert found == (0, 2, ())
    assert all(line.startswith("HEAD ") for line in served.log)


def test_what_is_in_the_store_is_not_asked_for(served):
    place = web(f"{served.url}/files/rows.jsonl", sha256=SHA256)
    fetch_files([place], "out", owner="source a")
    served.log.clear()
    assert reach([("source a", [place])]) == (1, 0, ())
    assert served.log == []


def test_a_file_or_repository_that_is_not_there_is_named(served):
    [first, second] = reach([("source a", [web(f"{served.url}/gone")]), ("source b", [hub("toy/gone")])]).faults
    assert first.startswith(f"source a: {served.url}/gone: answers 404; correct `url`")
    assert second.startswith("source b: ") and "answers 404; HF_TOKEN" in second


def test_a_mirror_that_answers_is_enough(served):
    place = web(f"{served.url}/gone", mirrors=(f"{served.url}/files/rows.jsonl",))
    assert reach([("source a", [place])]).faults == ()


def test_a_host_that_is_away_is_one_line_for_all_its_sources(monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 1)
    places = [(f"source {name}", [web(f"http://127.0.0.1:9/{name}")]) for name in "ab"]
    [fault] = reach(places).faults
    assert fault.startswith("source a, source b: 127.0.0.1:9: does not answer (")


def test_one_package_stands_for_the_index(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "run_pip", lambda arguments: asked.append(arguments) or (1, "ERROR: no such index"))
    wheels = [Fetch(kind="package", package=name, version="1", sha256="0" * 64) for name in ("one", "two")]
    [fault] = reach([("source a", wheels)]).faults
    assert len(asked) == 1 and asked[0][:3] == ["index", "versions", "one"]
    assert "the package index: does not have one, or does not answer (ERROR: no such index)" in fault


def test_local_files_are_looked_at(tmp_path):
    (tmp_path / "here.jsonl").write_text("")
    places = [Fetch(kind="local", path=name) for name in ("here.jsonl", "gone.jsonl")]
    assert reach([("source a", places)]).faults == (
        "source a: gone.jsonl is not there; put it there or correct `path`",
    )


def test_offline_nothing_is_asked(served):
    assert reach([("source a", [web(f"{served.url}/gone")])], ask=False) == (0, 1, ())
    assert served.log == []


def test_a_token_goes_to_the_hub_alone(served, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    reach([("source a", [hub()]), ("source b", [web("http://127.0.0.1:9/x")])])
    assert [path for path in served.authorised if path.startswith("/api/datasets/toy/rows")]


def test_a_question_for_the_head_of_a_file_stays_one_when_it_is_redirected(served):
    served.redirects["/old.jsonl"] = f"{served.url}/files/rows.jsonl"
    assert reach([("source a", [web(f"{served.url}/old.jsonl")])]).faults == ()
    assert served.log == ["HEAD /old.jsonl", "HEAD /files/rows.jsonl"]
