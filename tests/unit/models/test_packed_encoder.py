import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaModel, PreTrainedTokenizerFast

from f2llm.models.encoder import Encoder, packs
from f2llm.records.errors import InputError

TEXTS = ["a b c", "d", "a a b b c c d d", "c", "b a", "a b c d a b c d a b", "d c b"]


@pytest.fixture(params=["bert", "llama"])
def folder(request, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["<pad>", "a", "b", "c", "d"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>").save_pretrained(tmp_path)
    torch.manual_seed(0)
    sizes = {"vocab_size": 8, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
             "num_attention_heads": 2, "max_position_embeddings": 32}  # fmt: skip
    if request.param == "bert":
        BertModel(BertConfig(**sizes)).save_pretrained(tmp_path)
    else:
        LlamaModel(LlamaConfig(**sizes, num_key_value_heads=1)).save_pretrained(tmp_path)
    return tmp_path


def load(folder, pooling="mean", precision="float32"):
    return Encoder.load(folder, pooling=pooling, max_length=16, precision=precision)


@pytest.fixture
def load_padded(monkeypatch):
    """Load a model that does not try packs."""

    def call(*settings):
        with monkeypatch.context() as patch:
            patch.setattr(Encoder, "_try_packs", lambda *_: None)
            return load(*settings)

    return call


@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
def test_vectors_are_those_of_padded_batches(folder, load_padded, pooling):
    packed, padded = load(folder, pooling), load_padded(folder, pooling)
    assert packed.packed
    assert np.allclose(packed.encode(TEXTS, what="x"), padded.encode(TEXTS, what="x"), atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours(folder):
    encoder = load(folder)
    together = encoder.encode(TEXTS * 40, what="x")
    alone = np.concatenate([encoder.encode([text], what="x") for text in TEXTS])
    assert np.array_equal(together, np.tile(alone, (40, 1)))


def test_bfloat16_is_close_to_that_of_padded_batches(folder, load_padded):
    packed, padded = (call(folder, "mean", "bfloat16") for call in (load, load_padded))
    assert packed.packed
    assert np.allclose(packed.encode(TEXTS, what="x"), padded.encode(TEXTS, what="x"), atol=0.02)


def test_a_model_that_disagrees_is_run_in_padded_batches(folder, load_padded, monkeypatch):
    monkeypatch.setattr("f2llm.models.encoder.TOLERANCE", -1.0)
    encoder = load(folder)
    assert not encoder.packed
    assert np.array_equal(encoder.encode(TEXTS, what="x"), load_padded(folder).encode(TEXTS, what="x"))


def test_a_vector_that_is_not_finite_is_refused_with_its_text(folder):
    encoder = load(folder)
    with torch.no_grad():
        encoder._model.get_input_embeddings().weight[4] = float("nan")
    with pytest.raises(InputError, match=r"text 1 .*not finite"):
        encoder.encode(["a", "d"], what="x")


def test_packs_hold_every_text_once_and_never_too_much():
    lengths = [3, 9, 1, 10, 4, 4, 2, 7]
    found = list(packs(lengths, size=10))
    assert sorted(row for pack in found for row in pack.rows) == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in pack.rows) + pack.room == 10 for pack in found)
    assert all(
        [lengths[r] for r in pack.rows] == sorted((lengths[r] for r in pack.rows), reverse=True) for pack in found
    )
