import pytest

from f2llm.config.evaluate import Gate
from f2llm.errors import InputError
from f2llm.evaluate.gate import check_gate
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.evaluate import GateVerdict
from f2llm.records.schemas.sources import QUERIES, SkippedSource
from f2llm.records.tables import write_table
from f2llm.runs.layout import source_as_shown

STANZA = ("task", "instruction", "licence", "reference")

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
def check(results, tmp_path):
    (results / "runs/toyrun").rename(results / "runs/mine")

    def run(last, mean, content=None, heldout=()):
        write_json(tmp_path / "board.json", content or board())
        gate = Gate(over_base_last=last, over_base_mean=mean)
        counts = check_gate(
            tmp_path / "board.json", gate=gate, results=results, heldout=heldout, output=tmp_path / "gate.json"
        )
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


@pytest.fixture
def with_losses(results, check):
    """Return `check` for a run that was planned without its source toy, and a source scored on alone without rows."""
    path = results / "runs/mine/run.json"
    content = read_json(path) | {"left_out": {"toy": "source toy: HTTP 404"}}
    content["settings"]["sources"][0]["expected"]["queries"] = 12
    write_json(path, content)
    write_json(results / "sources/probes/manifest.json", {"files": []})
    write_table(results / "sources/probes/queries.parquet", schema=QUERIES, rows=[], metadata={"skipped": "no rows"})
    probes = source_as_shown({key: content["settings"]["sources"][0][key] for key in STANZA} | {"name": "probes"})
    return lambda last, mean: check(last, mean, heldout=[probes])


def test_the_verdict_names_the_sources_that_the_run_went_on_without(with_losses, caplog):
    counts, path = with_losses(15, 10)
    skipped = GateVerdict.read(path).sources_skipped
    assert skipped.sources == (
        SkippedSource("toy", "source toy: HTTP 404", 12),
        SkippedSource("probes", "no rows", None),
    )
    assert counts["sources_skipped"] == ["toy", "probes"]
    assert skipped.summary() in caplog.text
    assert skipped.summary() == (
        "2 of 2 sources were skipped: toy, probes; 100.0% of the queries that the stanzas state are missing"
    )


def test_a_run_below_its_gate_is_told_what_it_had_to_do_without(with_losses):
    with pytest.raises(InputError, match="2 of 2 sources were skipped: toy, probes; .* the run had less to learn from"):
        with_losses(20, 10)


def test_a_run_with_all_its_sources_has_none_in_the_verdict(check):
    verdict = GateVerdict.read(check(15, 10)[1])
    assert (verdict.sources_skipped.sources, verdict.sources_skipped.summary(), verdict.sources_skipped.lines()) == (
        (),
        "",
        [],
    )
