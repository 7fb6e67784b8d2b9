"""The card that goes with results: metadata that the hub reads, and a table for people."""

import pytest
from huggingface_hub import ModelCard

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import Candidate
from f2llm.evaluate.submission import export_scores, with_scores
from f2llm.records.files import read_json, write_json

TASKS = [Task(name="first", type="sts"), Task(name="second", type="pairs")]
MODELS = [
    Candidate(name=name, role="run", folder=name, pooling="last", query_prompt="", max_length=64, precision="float32")
    for name in ("own", "base")
]


@pytest.fixture
def scores(tmp_path):
    for name, task, score in (("own", "first", 0.5), ("base", "first", 0.25), ("base", "second", 0.75)):
        write_json(
            tmp_path / name / f"{task}.json", {"scores": {"test": [{"hf_subset": "default", "main_score": score}]}}
        )
    write_json(tmp_path / "own/second.json", {"scores": {}})
    return tmp_path


def test_a_card_keeps_what_it_said_and_gets_the_scores_of_the_first_model_as_metadata(scores):
    card = ModelCard(
        with_scores("---\nlicense: mit\ntags: [mine]\n---\n\n# Own\n\nIts text.\n", MODELS, TASKS, scores=scores)
    )
    assert (card.data.license, card.data.tags, card.data.model_name) == ("mit", ["mine", "mteb"], "own")
    (only,) = card.data.eval_results
    assert (only.task_type, only.metric_type, only.metric_value) == ("STS", "cosine_spearman", 50.0)
    assert "Its text.\n\n## Scores" in card.text
    assert "| first | cosine_spearman | 50.00 | 25.00 |" in card.text
    assert "| second | max_ap |  | 75.00 |" in card.text


def test_a_model_without_a_card_gets_one(scores):
    assert ModelCard(with_scores("", MODELS, TASKS, scores=scores)).data.model_name == "own"


def test_the_metadata_say_how_many_tokens_a_model_was_scored_with(scores):
    for name in ("own", "base"):
        result = read_json(scores / name / "first.json") | {"model_revision": "r"}
        write_json(scores / name / "first.json", result)
    write_json(scores / "costs.json", {"tasks": []})
    export_scores(
        MODELS, TASKS[:1], scores=scores, datasets=[], costs=scores / "costs.json", card=scores / "none",
        folder=scores / "submission", scratch=scores / "scratch",
    )  # fmt: skip
    found = [read_json(path) for path in sorted((scores / "submission").rglob("model_meta.json"))]
    assert [(one["name"], one["max_tokens"]) for one in found] == [("f2llm/base", 64), ("f2llm/own", 64)]
