"""Results as the public results repository keeps them."""

import pytest

from f2llm.config.benchmarks import Task
from f2llm.config.candidates import Candidate
from f2llm.config.stanzas import filled
from f2llm.evaluate.submission import export_scores
from f2llm.records.files import read_json, write_json

TASKS = [filled(Task, name="first", type="sts"), filled(Task, name="second", type="pairs")]
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


def test_the_metadata_say_how_many_tokens_a_model_was_scored_with(scores):
    for name in ("own", "base"):
        result = read_json(scores / name / "first.json") | {"model_revision": "r"}
        write_json(scores / name / "first.json", result)
    write_json(scores / "costs.json", {"tasks": []})
    export_scores(
        MODELS, TASKS[:1], scores=scores, datasets=[], costs=scores / "costs.json", folder=scores / "submission", scratch=scores / "scratch",
    )  # fmt: skip
    found = [read_json(path) for path in sorted((scores / "submission").rglob("model_meta.json"))]
    assert [(one["name"], one["max_tokens"]) for one in found] == [("f2llm/base", 64), ("f2llm/own", 64)]
