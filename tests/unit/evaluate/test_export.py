"""The card that goes with results: metadata that the hub reads, and a table for people."""

import pytest
from huggingface_hub import ModelCard

from f2llm.config.benchmarks import Task
from f2llm.evaluate.export import with_scores
from f2llm.evaluate.jobs import Candidate
from f2llm.records.files import write_json

TASKS = [Task(name="first", type="sts"), Task(name="second", type="pairs")]
MODELS = [Candidate(name=name, role="run", folder=name, pooling="last", query_prompt="") for name in ("own", "base")]


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
