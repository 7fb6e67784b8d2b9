import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from f2llm.evaluate.jobs import Candidate
from f2llm.evaluate.model import EvaluatedModel, SharedVectors, revision_of

CANDIDATE = Candidate(name="m", role="run", folder="", pooling="last", query_prompt="Instruct: {instruction}\nQuery: ")


@pytest.fixture
def folder(tmp_path):
    for name, content in {
        "model.safetensors": "w",
        "tokenizer.json": "t",
        "config.json": "c",
        "README.md": "r",
    }.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def encode(encoder, *, prompt_type, prompt, candidate=CANDIDATE):
    model = EvaluatedModel(candidate, SharedVectors(encoder, poolings=("last",)), revision="1")
    kind = prompt_type and SimpleNamespace(value=prompt_type)
    metadata = SimpleNamespace(name="T", prompt=prompt)
    return model.encode(
        [{"text": ["a"]}], task_metadata=metadata, hf_split="test", hf_subset="default", prompt_type=kind
    )


@pytest.mark.parametrize(
    ("prompt_type", "prompt", "read"),
    [
        ("query", {"query": "Find."}, "Instruct: Find.\nQuery: a"),
        (None, "Sort.", "Instruct: Sort.\nQuery: a"),
        ("document", {"query": "Find."}, "a"),
    ],
)
def test_the_prompt_goes_on_queries_and_symmetric_texts_never_on_passages(encoder, prompt_type, prompt, read):
    encode(encoder, prompt_type=prompt_type, prompt=prompt)
    assert encoder.seen == [read]


def test_without_a_prompt_texts_stay_as_they_are(encoder):
    bare = dataclasses.replace(CANDIDATE, query_prompt="")
    encode(encoder, prompt_type="query", prompt={"query": "Find."}, candidate=bare)
    assert encoder.seen == ["a"]


def test_a_text_is_encoded_once_for_all_poolings_and_tasks(encoder):
    vectors = SharedVectors(encoder, poolings=("last", "mean"))
    last = vectors.get(["a", "b", "a"], pooling="last", what="T")
    mean = vectors.get(["b", "c"], pooling="mean", what="U")
    assert sorted(encoder.seen) == ["a", "b", "c"]
    assert np.array_equal(last[0], last[2])
    assert not np.array_equal(last[1], mean[0])


def revision(folder, **changes):
    settings = {"max_length": 64, "precision": "float32"} | changes
    candidate = dataclasses.replace(CANDIDATE, folder=str(folder), **settings.pop("candidate", {}))
    return revision_of(candidate, **settings)


def test_the_identity_is_stable_and_ignores_the_card(folder):
    before = revision(folder)
    (folder / "README.md").write_text("another card")
    assert revision(folder) == before
    assert revision(folder, candidate={"name": "another-name"}) == before


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_the_identity_changes_with_weights_and_tokenizer(folder, name):
    before = revision(folder)
    (folder / name).write_text("x")
    assert revision(folder) != before


@pytest.mark.parametrize(
    "changes",
    [
        {"max_length": 63},
        {"precision": "bfloat16"},
        {"candidate": {"pooling": "mean"}},
        {"candidate": {"query_prompt": ""}},
    ],
)
def test_the_identity_changes_with_all_that_decides_a_vector(folder, changes):
    assert revision(folder, **changes) != revision(folder)
