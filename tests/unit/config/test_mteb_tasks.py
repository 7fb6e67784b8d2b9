"""What mteb says of tasks, asked in this process; one test asks it as a run does, in another."""

import subprocess
from pathlib import Path

import pytest
import yaml

from f2llm.config.benchmarks import Benchmark
from f2llm.config.mteb_tasks import SHIPPED, answer, registry, with_mteb
from f2llm.config.stanzas import filled
from f2llm.records.errors import InputError

DEFAULTS = {"mteb": "", "name": "b", "published": []}


@pytest.fixture(scope="module", autouse=True)
def _mteb_keeps_its_folder_here(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTEB_CACHE", str(tmp_path_factory.mktemp("mteb")))
        import mteb  # noqa: F401 - seconds, and a folder that it makes

        yield


def test_what_mteb_knows_is_filled_in():
    stanza = {"mteb": "STS17", "subsets": ["en-en"], "tiers": ["full"], "check": "counts", "instruction": ""}
    content, faults = with_mteb(DEFAULTS | {"tasks": [stanza]}, where="b.yaml", ask=answer)
    assert faults == []
    (found,) = filled(Benchmark, **content).tasks
    assert (found.name, found.type, found.batch, found.kind) == ("STS17", "sts", "", "mteb")
    assert (found.mteb.subsets, found.mteb.texts, len(found.mteb.revision)) == (("en-en",), 250, 40)
    assert found.instruction == "Retrieve semantically similar text."


@pytest.mark.parametrize(
    ("stanza", "said"),
    [
        ({"mteb": "STS71"}, "mteb has no task 'STS71'; near it: STS17"),
        ({"mteb": "STS17", "subsets": ["en-en", "en-xx"]}, "subsets: there is no 'en-xx'; near it: en-"),
        ({"mteb": "STS17", "revision": "0" * 40}, "revision 0000.* is pinned, mteb scores faeb7627"),
        ({"name": "x", "type": "sts"}, "give one of source, mteb and data"),
        ({"name": "x", "type": "sts", "source": "s"}, "key 'split' is missing"),
    ],
)
def test_what_a_stanza_gets_wrong_is_said_with_what_is_near(stanza, said):
    _, faults = with_mteb(DEFAULTS | {"tasks": [stanza]}, where="b.yaml", ask=answer)
    with pytest.raises(InputError, match=said):
        raise InputError(faults)


LOCAL = {"name": "Mine", "type": "sts", "data": "d"}
DRAWN = {"name": "Mine", "type": "sts", "source": "s", "split": "test"}


@pytest.mark.parametrize(
    ("stanza", "keys"),
    [
        (
            {"mteb": "STS17", "type": "retrieval", "queries": 5, "columns": {"text": "t"}},
            ["columns", "queries", "type"],
        ),
        ({"mteb": "STS17", "name": "Foo"}, ["name"]),
        (LOCAL | {"files": ["*"], "subsets": ["en"], "split": "test"}, ["files", "split", "subsets"]),
        (DRAWN | {"splits": ["test"], "check": "off", "columns": {"text": "t"}}, ["check", "columns", "splits"]),
    ],
)
def test_a_key_that_a_task_of_its_kind_does_not_read_is_refused(stanza, keys):
    defaults = {"queries": None, "train_texts": None, "check": "counts", "tiers": ["smoke", "nano", "full"]}
    _, faults = with_mteb(DEFAULTS | {"tasks": [defaults | stanza]}, where="b.yaml", ask=answer)
    assert [fault.split(" is not for a task ")[0] for fault in faults] == [
        f"b.yaml: task {stanza.get('name', 'STS17')}: key {key!r}" for key in keys
    ]


def test_a_column_that_a_task_of_its_type_lacks_is_refused():
    stanza = LOCAL | {"type": "retrieval", "columns": {"txt": "body", "text": "body", "title": "head"}}
    _, faults = with_mteb(DEFAULTS | {"tasks": [stanza]}, where="b.yaml", ask=answer)
    known = "_id, text, query-id, corpus-id, score, title"
    assert faults == [f"b.yaml: task Mine: columns: a retrieval task has no column 'txt'; name one of: {known}"]


@pytest.mark.parametrize(
    ("mteb", "stanzas", "name"),
    [
        ("MTEB(eng, v2)", [LOCAL | {"name": "STSBenchmark"}], "STSBenchmark"),
        ("", [{"mteb": "CQADupstackRetrieval"}, LOCAL | {"name": "CQADupstackUnixRetrieval"}], "CQADupstackUnixRetrieval"),
        ("MTEB(eng, v1)", [LOCAL | {"name": "CQADupstackRetrieval"}], "CQADupstackRetrieval"),
    ],
)  # fmt: skip
def test_an_own_task_cannot_be_named_like_one_that_mteb_brings(mteb, stanzas, name):
    _, faults = with_mteb(DEFAULTS | {"mteb": mteb, "tasks": stanzas}, where="b.yaml", ask=answer)
    assert faults == [f"b.yaml: task {name} is also one that `mteb` brings; give yours another name"]


@pytest.mark.parametrize("name", ["scoreboard", "costs"])
def test_a_task_cannot_be_named_like_a_file_beside_the_scores(name):
    _, faults = with_mteb(DEFAULTS | {"tasks": [LOCAL | {"name": name}]}, where="b.yaml", ask=answer)
    assert faults == [f"b.yaml: task {name}: a file beside the scores is named so; give the task another name"]


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    answered = subprocess.CompletedProcess([], 0, stdout='{"tasks": {}}\n', stderr="")
    monkeypatch.setattr("f2llm.config.mteb_tasks.subprocess.run", lambda *_, **__: answered)
    assert registry("", ["STS17"], cache=tmp_path / "file") == {"tasks": {}}


def test_an_unknown_benchmark_shows_near_names():
    _, faults = with_mteb(DEFAULTS | {"mteb": "MTEB(engl, v2)", "tasks": []}, where="b.yaml", ask=answer)
    assert "near it: MTEB(eng, v2)" in faults[0]


def test_an_answer_of_the_other_process_is_the_same_and_is_kept(tmp_path):
    found = registry("", ["STS17"], cache=tmp_path)
    assert found == answer("", ["STS17"])
    (kept,) = tmp_path.iterdir()
    kept.write_text('{"kept": 1}')
    assert registry("", ["STS17"], cache=tmp_path) == {"kept": 1}


def test_answers_for_shipped_benchmarks_are_kept_in_the_repository_and_are_those_of_mteb(tmp_path):
    """After an update of mteb: ask again (`f2llm check`), and move the answer from .cache/mteb-tasks to the folder."""
    stanzas = [yaml.safe_load(path.read_text()) for path in Path("config/benchmarks").glob("*.yaml")]
    questions = [
        (stanza["mteb"], [task["mteb"] for task in stanza["tasks"] if "mteb" in task])
        for stanza in stanzas
        if "mteb" in stanza
    ]
    for benchmark, tasks in questions:
        assert registry(benchmark, tasks, cache=tmp_path) == answer(benchmark, tasks)
    assert not list(tmp_path.iterdir())
    assert len(list(SHIPPED.iterdir())) == len(questions) > 0


def test_a_task_made_of_others_becomes_these_which_say_so():
    stanzas = [
        {"mteb": "CQADupstackRetrieval", "tiers": ["full"], "check": "counts", "instruction": "Find copies."},
        {"mteb": "CQADupstackUnixRetrieval", "tiers": ["full"], "check": "off", "instruction": "Find them."},
        {"mteb": "ArguAna", "tiers": ["full"], "check": "counts", "instruction": ""},
    ]
    content, faults = with_mteb(DEFAULTS | {"tasks": stanzas}, where="b.yaml", ask=answer)
    assert faults == []
    tasks = {task.name: task for task in filled(Benchmark, **content).tasks}
    assert len(tasks) == 13
    assert {task.part_of for name, task in tasks.items() if name != "ArguAna"} == {"CQADupstackRetrieval"}
    assert (tasks["ArguAna"].part_of, tasks["CQADupstackAndroidRetrieval"].instruction) == ("", "Find copies.")
    assert (tasks["CQADupstackUnixRetrieval"].check, tasks["CQADupstackGisRetrieval"].check) == ("off", "counts")


def test_a_benchmark_with_such_a_task_can_be_named():
    content, faults = with_mteb(DEFAULTS | {"mteb": "MTEB(eng, v1)", "tasks": []}, where="b.yaml", ask=answer)
    assert faults == []
    tasks = filled(Benchmark, **content).tasks
    assert len({task.part_of or task.name for task in tasks}) == 56
    assert len(tasks) == 55 + 12
