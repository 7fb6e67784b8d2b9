import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from f2llm.config.candidates import Candidate
from f2llm.evaluate.model import EvaluatedModel, SharedVectors, open_stores, revision_of, shortened
from f2llm.records.errors import InputError
from f2llm.vectors.store import FLOAT32, VectorStore

CANDIDATE = Candidate(
    name="m",
    role="run",
    folder="",
    pooling="last",
    query_prompt="Instruct: {instruction}\nQuery: ",
    max_length=64,
    precision="float32",
)


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


@pytest.fixture
def encode(tmp_path, encoder):
    def run(*, prompt_type, prompt, candidate=CANDIDATE):
        vectors = SharedVectors(lambda: encoder, stores=stores(tmp_path, "last"))
        model = EvaluatedModel(candidate, vectors, revision="1")
        kind = prompt_type and SimpleNamespace(value=prompt_type)
        metadata = SimpleNamespace(name="T", prompt=prompt)
        return model.encode(
            [{"text": ["a"]}], task_metadata=metadata, hf_split="test", hf_subset="default", prompt_type=kind
        )

    return run


@pytest.mark.parametrize(
    ("prompt_type", "prompt", "read"),
    [
        ("query", {"query": "Find."}, "Instruct: Find.\nQuery: a"),
        (None, "Sort.", "Instruct: Sort.\nQuery: a"),
        ("document", {"query": "Find."}, "a"),
    ],
)
def test_the_prompt_goes_on_queries_and_symmetric_texts_never_on_passages(encode, encoder, prompt_type, prompt, read):
    encode(prompt_type=prompt_type, prompt=prompt)
    assert encoder.seen == [read]


def test_without_a_prompt_texts_stay_as_they_are(encode, encoder):
    bare = dataclasses.replace(CANDIDATE, query_prompt="")
    encode(prompt_type="query", prompt={"query": "Find."}, candidate=bare)
    assert encoder.seen == ["a"]


def test_a_text_is_encoded_once_for_all_poolings_and_tasks(tmp_path, encoder):
    vectors = SharedVectors(lambda: encoder, stores=stores(tmp_path, "last", "mean"))
    last = vectors.get(["a", "b", "a"], pooling="last", what="T")
    mean = vectors.get(["b", "c"], pooling="mean", what="U")
    assert sorted(encoder.seen) == ["a", "b", "c"]
    assert np.array_equal(last[0], last[2])
    assert not np.array_equal(last[1], mean[0])


def revision(folder, **changes):
    settings = {"precision": "float32"} | changes
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
        {"candidate": {"max_length": 63}},
        {"precision": "bfloat16"},
        {"candidate": {"pooling": "mean"}},
        {"candidate": {"query_prompt": ""}},
        {"candidate": {"passage_prompt": "passage: "}},
        {"candidate": {"dimensions": 4}},
    ],
)
def test_the_identity_changes_with_all_that_decides_a_vector(folder, changes):
    assert revision(folder, **changes) != revision(folder)


def stores(folder, *poolings):
    return {pooling: VectorStore(folder / pooling, key=pooling, dtype=FLOAT32) for pooling in poolings}


def test_vectors_of_the_store_are_those_of_the_encoder_to_the_bit_and_read_once(tmp_path, encoder, vectors_of):
    first = SharedVectors(lambda: encoder, stores=stores(tmp_path, "last", "mean"))
    texts = ["a", "b", "a", "c"]
    assert np.array_equal(first.get(texts, pooling="mean", what="T"), vectors_of(texts, "mean"))
    again = SharedVectors(lambda: pytest.fail("loaded"), stores=stores(tmp_path, "last"))
    assert np.array_equal(again.get(texts, pooling="last", what="T"), vectors_of(texts, "last"))
    assert sorted(encoder.seen) == ["a", "b", "c"]
    assert (first.encoded, again.encoded, again.reused) == (3, 0, 3)


def test_work_that_a_kill_left_in_one_store_of_two_is_done_again(tmp_path, encoder, vectors_of):
    one = SharedVectors(lambda: encoder, stores=stores(tmp_path, "last"))
    one.get(["a"], pooling="last", what="T")
    both = SharedVectors(lambda: encoder, stores=stores(tmp_path, "last", "mean"))
    assert np.array_equal(both.get(["a"], pooling="mean", what="T"), vectors_of(["a"], "mean"))


def test_networks_with_other_weights_have_other_stores(folder, tmp_path):
    settings = {"poolings": ("last",), "max_length": 64, "precision": "float32", "device": "cpu"}
    candidate = dataclasses.replace(CANDIDATE, folder=str(folder))
    before = open_stores(candidate, tmp_path / "store", **settings)["last"].key
    assert open_stores(candidate, tmp_path / "store", **settings | {"max_length": 32})["last"].key != before
    (folder / "model.safetensors").write_text("other weights")
    assert open_stores(candidate, tmp_path / "store", **settings)["last"].key != before


def test_cut_vectors_are_the_first_numbers_of_unit_length():
    found = shortened(np.array([[3, 4, 5]], np.float32), 2, model="m")
    assert np.allclose(found, [[0.6, 0.8]])
    with pytest.raises(InputError, match="its vectors have 3"):
        shortened(np.ones((1, 3), np.float32), 4, model="m")


def test_a_passage_prompt_goes_on_passages_alone(encode, encoder):
    e5 = dataclasses.replace(CANDIDATE, query_prompt="query: ", passage_prompt="passage: ")
    encode(prompt_type="document", prompt={"query": "Find."}, candidate=e5)
    encode(prompt_type="query", prompt={"query": "Find."}, candidate=e5)
    assert encoder.seen == ["passage: a", "query: a"]
