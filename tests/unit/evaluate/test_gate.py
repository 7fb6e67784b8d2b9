import pytest

from f2llm.config.evaluate import Gate
from f2llm.evaluate.gate import check_gate
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.evaluate import GateVerdict
from f2llm.records.schemas.sources import SkippedSource, SkippedSources

MODELS = [
    {"model": "mine", "role": "run"},
    {"model": "last", "role": "base_last"},
    {"model": "mean", "role": "base_mean"},
]


def board(*, skipped=False):
    def scored(name, domain, mine, last, mean):
        return {"task": name, "domain": domain, "scores": {"mine": mine, "last": last, "mean": mean}}

    tasks = [scored("A", "in-domain", 40.0, 20.0, 30.0), scored("B", "untrained", 20.0, 10.0, 10.0)]
    dead = [scored("C", "untrained", None, None, None)] if skipped else []
    return {
        "run": "mine", "models": MODELS, "tasks": tasks + dead,
        "tasks_not_improved": ["B"], "tasks_skipped": ["C"] if skipped else [], "tasks_undefined": [],
    }  # fmt: skip


@pytest.fixture
def check(tmp_path):
    def run(last, mean, content=None, skipped=SkippedSources()):  # noqa: B008 - it cannot be changed
        write_json(tmp_path / "board.json", content or board())
        gate = Gate(over_base_last=last, over_base_mean=mean)
        counts = check_gate(tmp_path / "board.json", gate=gate, skipped=skipped, output=tmp_path / "gate.json")
        return counts, tmp_path / "gate.json"

    return run


def test_a_gain_equal_to_the_gate_passes(check):
    _, path = check(15, 10)
    verdict = read_json(path)
    assert verdict["passed"] is True
    assert (verdict["mean"], verdict["base_last"], verdict["base_mean"]) == (30, 15, 20)
    assert (verdict["gain_over_last"], verdict["gain_over_mean"]) == (15, 10)
    assert verdict["tasks_not_improved"] == ["B"]
    assert verdict["in_domain"] == {"tasks": 1, "mean": 40, "base_last": 20, "base_mean": 30}


@pytest.mark.parametrize(("last", "mean", "said"), [(15.01, 10, "last-token pooling"), (15, 10.01, "mean pooling")])
def test_a_gain_below_either_gate_fails_and_leaves_no_verdict(check, tmp_path, last, mean, said):
    check(0, 0)
    with pytest.raises(InputError, match=said) as caught:
        check(last, mean)
    assert len(caught.value.faults) == 2
    assert not (tmp_path / "gate.json").exists()


def test_skipped_tasks_are_left_out_and_named(check):
    verdict = read_json(check(15, 10, board(skipped=True))[1])
    assert verdict["mean"] == 30
    assert verdict["tasks"] == 2
    assert verdict["tasks_skipped"] == ["C"]


def test_a_run_of_which_nothing_was_scored_fails(check):
    content = board(skipped=True)
    content["tasks"] = content["tasks"][-1:]
    with pytest.raises(InputError, match="no task was scored"):
        check(0, 0, content)


LOST = SkippedSources(3, 0.25, (SkippedSource("toy", "HTTP 404", 12), SkippedSource("probes", "no rows", None)))
SUMMARY = "2 of 3 sources were skipped: toy, probes; 25.0% of the queries that the stanzas state are missing"


def test_the_verdict_names_the_sources_that_the_run_went_on_without(check, caplog):
    counts, path = check(15, 10, skipped=LOST)
    assert GateVerdict.read(path).sources_skipped == LOST
    assert counts["sources_skipped"] == ["toy", "probes"]
    for line in (SUMMARY, "toy: HTTP 404", "probes: no rows"):
        assert line in caplog.text


def test_a_run_below_its_gate_is_told_what_it_had_to_do_without(check):
    with pytest.raises(InputError, match=f"{SUMMARY}; mend them, since the run had less to learn from"):
        check(20, 10, skipped=LOST)


def test_a_run_with_all_its_sources_has_none_in_the_verdict(check, caplog):
    verdict = GateVerdict.read(check(15, 10)[1])
    assert (verdict.sources_skipped.sources, verdict.sources_skipped.lines(), caplog.text) == ((), [], "")
