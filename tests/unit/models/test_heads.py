"""Vectors of a model with Dense layers are those that sentence-transformers computes."""

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from f2llm.config.fetch import Fetch
from f2llm.config.models import Model
from f2llm.config.rights import Licence
from f2llm.config.stanzas import filled
from f2llm.models.encoder import Encoder
from f2llm.models.heads import vector_length
from f2llm.sources.models import prepare_model

TEXTS = ["a b c", "d", "a a b b c c d d", "c", "b a", "a b c d a b c d a b", "d c b"] * 5


@pytest.fixture
def original(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    words = {word: number for number, word in enumerate(["[PAD]", "a", "b", "c", "d"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[PAD]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(tmp_path / "bert")
    sizes = {"vocab_size": 8, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
             "num_attention_heads": 2, "max_position_embeddings": 32}  # fmt: skip
    BertModel(BertConfig(**sizes)).save_pretrained(tmp_path / "bert")
    modules = [
        Transformer(str(tmp_path / "bert")), Pooling(16, "mean"),
        Dense(16, 24, bias=False, activation_function=torch.nn.Identity()), Dense(24, 6), Normalize(),
    ]  # fmt: skip
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(tmp_path / "original"))
    return model


@pytest.mark.parametrize("packed", [False, True])
def test_vectors_are_those_of_sentence_transformers(original, tmp_path, monkeypatch, packed):
    stanza = filled(
        Model, name="dense", fetch=Fetch(kind="local", path="original"), format="folder", member="", pooling="mean",
        append_eos=False, control_tokens="letters", licence=Licence(id="MIT", commercial="yes", note=""), reference="r",
    )  # fmt: skip
    counts = prepare_model(stanza, folder="out", manifest="out.json")
    assert counts["dimensions"] == vector_length("out") == 6
    if not packed:
        monkeypatch.setattr(Encoder, "_try_packs", lambda *_: None)
    encoder = Encoder.load("out", pooling="mean", max_length=16, precision="float32")
    found_ND = encoder.encode(TEXTS, what="x")
    assert encoder.dim == found_ND.shape[1] == 6
    # The roundings of some ten products after each other, 6e-8 each, of sums of 16 and 24 numbers: 1.2e-7 was seen.
    assert np.allclose(found_ND, original.encode(TEXTS), rtol=0, atol=5e-6)
    assert np.array_equal(found_ND[:3], encoder.encode(TEXTS[:3], what="x"))
