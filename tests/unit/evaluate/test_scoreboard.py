import pytest

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import ROLES, Candidate
from f2llm.config.stanzas import filled
from f2llm.evaluate.scoreboard import SCOREBOARD, Decontamination, write_scoreboard
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, write_json
from f2llm.records.tables import read_table

ROLES = ROLES[:4]
NAMES = dict(zip(ROLES, ("mine", "tiny-last", "tiny-mean", "retriever"), strict=True))
TASKS = [
    filled(Task, name="A", type="retrieval", source="s", split="test"),
    filled(Task, name="B", type="retrieval", source="t", split="test"),
    filled(Task, name="C", type="sts", source="held", split="all"),
]
SCORES = {
    "mine": {"A": 0.5, "B": 0.3, "C": 0.2},
    "tiny-last": {"A": 0.1, "B": 0.3, "C": 0.1},
    "tiny-mean": {"A": 0.2, "B": 0.2, "C": 0.3},
    "retriever": {"A": 0.9, "B": 0.9, "C": 0.9},
}
UNDEFINED = "undefined"


def candidate(role):
    return Candidate(
        name=NAMES[role], role=role, folder="", pooling="last", query_prompt="", max_length=64, precision="float32"
    )


@pytest.fixture
def board(tmp_path):
    def build(scores=SCORES, revisions=None, **settings):
        paths = []
        for model, row in scores.items():
            for task, score in row.items():
                cell = {"hf_subset": "default", "main_score": None if score == UNDEFINED else score}
                cells = {} if score is None else {"test": [cell]}
                revision = (revisions or {}).get((model, task), "data")
                content = {"model_revision": None if score is None else f"of {model}", "scores": cells}
                path = tmp_path / model / f"{task}.json"
                write_json(path, content | {"dataset_revision": revision})
                paths.append(path)
        write_scoreboard(
            [candidate(role) for role in ROLES], TASKS, trained=["s", "t"], scores=paths,
            table=tmp_path / "board.parquet", summary=tmp_path / "board.json", **settings,
        )  # fmt: skip
        return read_table(tmp_path / "board.parquet"), read_json(tmp_path / "board.json")

    return build


def means(summary, name):
    return next(model["means"] for model in summary["models"] if model["model"] == name)


def test_means_are_over_tasks_types_and_domains(board):
    _, summary = board()
    assert means(summary, "mine") == pytest.approx(
        {"task": 100 / 3, "task_type": (40 + 20) / 2, "in_domain": 40, "untrained": 20}
    )


def test_gains_are_points_over_each_base(board):
    table, _ = board()
    assert table.schema.names == SCOREBOARD.names
    rows = {(row["model"], row["task"]): row for row in table.to_pylist()}
    assert rows["mine", "A"]["score"] == pytest.approx(50)
    assert rows["mine", "A"]["gain_over_last"] == pytest.approx(40)
    assert rows["mine", "C"]["gain_over_mean"] == pytest.approx(-10)
    assert rows["retriever", "B"]["gain_over_last"] == pytest.approx(60)
    assert (rows["mine", "A"]["domain"], rows["mine", "C"]["domain"]) == ("in-domain", "untrained")


def test_a_task_whose_train_split_a_source_declares_is_in_domain(board):
    table, _ = board(declared=["C"])
    assert set(table["domain"].to_pylist()) == {"in-domain"}


def test_tasks_are_decontaminated_unless_it_is_said_why_not(board):
    assert board()[0]["not_decontaminated"].null_count == 12
    _, summary = board(decontamination=Decontamination(missing=["A"]))
    assert [task["not_decontaminated"] for task in summary["tasks"]] == ["no test data to match against", None, None]
    table, _ = board(decontamination=Decontamination(off=["s"], report=["t", "u"], missing=["A"]))
    said = "not looked for in s; found but not dropped in t, u"
    assert table["not_decontaminated"].to_pylist()[:2] == [f"no test data to match against; {said}", said]


def test_a_task_not_above_the_better_base_is_not_improved(board):
    assert board()[1]["tasks_not_improved"] == ["B", "C"]


def test_nulls_of_a_skipped_task_propagate(board):
    table, summary = board({model: row | {"C": None} for model, row in SCORES.items()})
    assert summary["tasks_skipped"] == ["C"]
    assert means(summary, "mine") == {
        "task": None, "task_type": None, "in_domain": pytest.approx(40), "untrained": None,
    }  # fmt: skip
    assert table.column("score").null_count == 4
    assert "C" not in summary["tasks_not_improved"]


def test_a_score_without_a_number_is_undefined_not_skipped(board):
    scores = {model: row | {"A": UNDEFINED} for model, row in SCORES.items()}
    _, summary = board({model: row | {"C": None} for model, row in scores.items()})
    assert (summary["tasks_skipped"], summary["tasks_undefined"]) == (["C"], ["A"])
    assert means(summary, "mine")["in_domain"] is None


def test_missing_results_are_all_named(board):
    with pytest.raises(InputError) as caught:
        board({"mine": {"A": 0.5}})
    assert len(caught.value.faults) == 11


def test_scores_on_different_rows_are_not_compared(board):
    with pytest.raises(InputError, match="different rows"):
        board(revisions={("mine", "B"): "other data"})
