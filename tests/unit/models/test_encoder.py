import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer

import f2llm.models.encoder as module
from f2llm.models.encoder import LENGTH_STEP, ROWS, Encoder, batches
from f2llm.records.errors import InputError
from f2llm.records.ids import doc_id

MAX_LENGTH = 24
MODELS = [("decoder", "last"), ("decoder", "mean"), ("bidirectional", "mean"), ("bidirectional", "cls")]


@pytest.fixture(autouse=True, scope="module")
def in_padded_batches():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "_try_packs", lambda *_: None)
        yield


def load(folder, *, pooling="last", precision="float32", max_length=MAX_LENGTH):
    return Encoder.load(folder, pooling=pooling, max_length=max_length, precision=precision)


def plain_vector(model, tokenizer, text, *, pooling):
    """One text, no padding, no batch, straight from the model."""
    tokens = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
    with torch.no_grad():
        hidden = model(input_ids=tokens["input_ids"]).last_hidden_state[0]
    vector = {"last": hidden[-1], "mean": hidden.mean(0), "cls": hidden[0]}[pooling]
    return (vector / vector.norm()).numpy()


def neighbourhoods(texts):
    """Rows to encode together: shuffled, one by one, and only those that are cut, so that no batch has padding."""
    yield np.random.default_rng(0).permutation(len(texts))[:37]
    yield from ([row] for row in range(20, 36))
    cut = [row for row, text in enumerate(texts) if len(text.split()) >= MAX_LENGTH - 1]
    assert len(cut) == ROWS
    yield cut


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "pooling"), MODELS)
def test_a_vector_is_bit_identical_whatever_its_neighbours_and_its_place(request, texts, model, pooling, precision):
    encoder = load(request.getfixturevalue(model), pooling=pooling, precision=precision)
    together = encoder.encode(texts, what="texts")
    assert together.dtype == np.float32 and len(np.unique(together, axis=0)) > 50

    for chosen in neighbourhoods(texts):
        found = encoder.encode([texts[row] for row in chosen], what="texts")
        assert found.tobytes() == together[chosen].tobytes()
        assert found.astype(np.float16).tobytes() == together[chosen].astype(np.float16).tobytes()


@pytest.mark.parametrize(("model", "pooling"), MODELS)
def test_vectors_equal_a_plain_reference_one_text_at_a_time(request, texts, model, pooling):
    folder = request.getfixturevalue(model)
    found = load(folder, pooling=pooling).encode(texts[15:35], what="texts")
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    wanted = np.stack([plain_vector(model, tokenizer, text, pooling=pooling) for text in texts[15:35]])
    # Numbers of unit vectors are rounded by 6e-8 at most, in some ten products after each other: 6e-7 was seen.
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_bfloat16_stays_close_to_float32(decoder, texts):
    exact = load(decoder).encode(texts, what="texts")
    rough = load(decoder, precision="bfloat16").encode(texts, what="texts")
    assert (exact != rough).any()
    assert (exact * rough).sum(1).min() > 0.99


def test_how_many_texts_are_tokenised_at_once_changes_nothing(decoder, texts, monkeypatch):
    encoder = load(decoder)
    whole = encoder.encode(texts, what="texts")
    monkeypatch.setattr(module, "TEXTS_AT_ONCE", 7)
    assert encoder.encode(texts, what="texts").tobytes() == whole.tobytes()


def test_a_cut_text_still_ends_in_eos(decoder, texts):
    long = next(text for text in texts if len(text.split()) > MAX_LENGTH)
    cut = " ".join(long.split()[: MAX_LENGTH - 1])
    first, second = load(decoder).encode([long, cut], what="texts")
    assert first.tobytes() == second.tobytes()


def test_no_texts_give_no_vectors(decoder):
    assert load(decoder).encode([], what="texts").shape == (0, 96)


def spoil(encoder, value):
    for name, parameter in encoder._model.named_parameters():
        if "norm" in name.lower():
            parameter.data.fill_(value)


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_without_direction_is_refused_with_the_id_of_its_text(decoder, value):
    encoder = load(decoder)
    spoil(encoder, value)
    with pytest.raises(InputError, match=f"source x: passages: text 0 .id {doc_id('the cat').hex()}.*zero or not"):
        encoder.encode(["the cat", "a dog"], what="source x: passages")


def test_a_text_without_tokens_is_refused_with_its_id(bare):
    with pytest.raises(InputError, match=f"text 2 .id {doc_id(' ').hex()}.*no tokens"):
        load(bare).encode(["the cat", "a dog", " "], what="texts")


def test_more_tokens_than_the_model_reads_are_refused(decoder):
    assert load(decoder, max_length=64).dim == 96
    with pytest.raises(InputError, match="max_length is 65, the model reads 64"):
        load(decoder, max_length=65)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="no config.json"):
        load(tmp_path)


@given(st.lists(st.integers(1, 70), max_size=80), st.booleans())
def test_batches_hold_every_text_once_in_few_fixed_shapes(lengths, masked):
    lengths = np.array(lengths, np.int64)
    made = list(batches(lengths, masked=masked))
    assert sorted(np.concatenate([np.zeros(0, int), *(batch.rows for batch in made)])) == list(range(len(lengths)))
    for batch in made:
        inside = lengths[batch.rows]
        assert len(batch.rows) <= ROWS and batch.length % LENGTH_STEP == 0
        assert (inside > batch.length - LENGTH_STEP).all() and (inside <= batch.length).all()
        assert not masked or ((inside < batch.length) == batch.masked).all()
        assert masked or not batch.masked
    assert [batch.length for batch in made] == sorted((batch.length for batch in made), reverse=True)
