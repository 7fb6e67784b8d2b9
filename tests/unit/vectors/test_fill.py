"""Stores named by the encoder's version, filled once a text; vectors pinned so that a change forces the version up."""

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from f2llm.models.encoder import Encoder
from f2llm.records.files import read_json
from f2llm.records.ids import doc_id
from f2llm.vectors import fill
from f2llm.vectors.fill import ENCODER_VERSION, StoredVectors, open_store, store_key
from f2llm.vectors.store import VectorStore, as_ids

IDENTITY = {"weights": "w", "pooling": "mean", "max_length": 48, "precision": "float32", "device": "cpu"}
WORDS = "a cat sat on the warm mat while rain fell".split()
TEXTS = ["a cat", "the warm mat", "rain", " ".join(WORDS), " ".join(reversed(WORDS))]
# The vectors of TEXTS by the encoder of each version: its second and third number under the pooling "last", then "mean".
PINNED = {
    1: [
        [
            [-0.2618874, -0.2541968],
            [-0.2602864, -0.2538306],
            [-0.1997494, -0.2791793],
            [-0.4822578, -0.0676450],
            [-0.4569863, -0.0993697],
        ],
        [
            [-0.1883670, -0.0203940],
            [-0.0314396, -0.3539287],
            [-0.2023105, -0.2703862],
            [-0.4378722, -0.0820128],
            [-0.1820845, -0.2792971],
        ],
    ],
}


class Fake:
    precision = "float32"

    def __init__(self):
        self.read = []

    def encode_poolings(self, texts, *, poolings, what, bar=None):
        self.read += texts
        return np.array([[[1.0, len(text)] for text in texts] for _ in poolings], np.float32)


def stored(store, load, texts):
    vectors = StoredVectors(load, stores={"mean": store})
    vectors.fill(texts, as_ids([doc_id(text) for text in texts]), what="toy")
    return vectors


def test_a_text_is_encoded_once_and_the_network_loaded_only_then(tmp_path):
    encoder, store = Fake(), open_store(tmp_path, IDENTITY)
    first = stored(store, lambda: encoder, ["a", "bbb", "cc"])
    again = stored(open_store(tmp_path, IDENTITY), lambda: pytest.fail("loaded"), ["cc", "a"])
    assert encoder.read == ["bbb", "cc", "a"]  # longest first
    assert (first.encoded, first.reused, again.encoded, again.reused) == (3, 0, 0, 2)
    assert store.get([doc_id("bbb")]).tolist() == [[1, 3]]


def test_a_store_is_named_by_the_encoder_its_version_and_the_libraries(tmp_path, monkeypatch):
    keys = {open_store(tmp_path, IDENTITY, model="m").key, open_store(tmp_path, IDENTITY | {"pooling": "last"}).key}
    said = read_json(tmp_path / open_store(tmp_path, IDENTITY).key / "encoder.json")
    assert said.pop("model") == "m" and store_key(said) == open_store(tmp_path, IDENTITY).key
    monkeypatch.setattr(fill, "ENCODER_VERSION", ENCODER_VERSION + 1)
    keys.add(open_store(tmp_path, IDENTITY).key)
    monkeypatch.setattr(fill, "result_versions", lambda: {"torch": "0"})
    keys.add(open_store(tmp_path, IDENTITY).key)
    assert len(keys) == 4 and all(key.startswith("float32-cpu-") for key in keys)


@pytest.mark.parametrize(("version", "libraries", "used"), [(1, {}, True), (2, {}, False), (1, {"torch": "0"}, False)])
def test_a_store_of_before_versions_is_used_while_it_holds_the_same_vectors(
    tmp_path, monkeypatch, version, libraries, used
):
    monkeypatch.setattr(fill, "ENCODER_VERSION", version)
    monkeypatch.setattr(fill, "result_versions", lambda: fill.FIRST_LIBRARIES | {"mteb": "9"} | libraries)
    key = store_key(IDENTITY | {"code": "634e2c7442c86dfd"})
    VectorStore(tmp_path / key, key=key).put([doc_id("a")], np.ones((1, 2)), precision="float32")
    encoder = Fake()
    assert stored(open_store(tmp_path, IDENTITY), lambda: encoder, ["a"]).encoded == (0 if used else 1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A decoder whose weights are a formula, so that its vectors are the same everywhere but for rounding."""
    folder = tmp_path_factory.mktemp("tiny")
    config = LlamaConfig(
        vocab_size=16, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32,
    )  # fmt: skip
    model = LlamaModel(config)
    with torch.no_grad():
        for number, weights in enumerate(model.parameters()):
            wave = np.sin(np.arange(weights.numel()) * (0.37 + 0.11 * number)).reshape(weights.shape)
            weights.copy_(torch.from_numpy(wave * (0.4 if weights.dim() > 1 else 1.0)))
    model.save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "</s>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[PAD]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", eos_token="</s>").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("packed", [True, False], ids=["packs", "padded batches"])
def test_the_vectors_of_this_version_are_those_that_its_stores_hold(tiny, packed):
    # Other vectors need another ENCODER_VERSION, and their own entry in PINNED. 2e-6: rounding on other processors.
    encoder = Encoder.load(tiny, pooling="last", max_length=12, precision="float32", device="cpu")
    assert encoder.packed
    encoder.packed = packed
    if not packed:
        encoder._model.set_attn_implementation("sdpa")
    vectors_PND = encoder.encode_poolings(TEXTS, poolings=("last", "mean"), what="tiny")
    np.testing.assert_allclose(vectors_PND[:, :, 1:3], PINNED[ENCODER_VERSION], rtol=0, atol=2e-6)
