"""The packed forward is the padded forward: values, gradients, and what it refuses."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from transformers import LlamaConfig, LlamaModel, Qwen3Config, Qwen3Model

from f2llm.models import attention
from f2llm.models.attention import packed_attention
from f2llm.models.network import encode_packed, load_packed
from f2llm.models.packing import pack
from f2llm.records.errors import InputError

SIZES = {
    "vocab_size": 128, "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
# Single tokens side by side, equal lengths apart and together, and the longest not first.
LENGTHS = (1, 7, 1, 33, 7, 2, 20, 1, 7)


@pytest.fixture(params=[(LlamaConfig, LlamaModel), (Qwen3Config, Qwen3Model)], ids=["llama", "qwen3"])
def folder(request, tmp_path):
    config, model = request.param
    torch.manual_seed(0)
    extra = {"head_dim": 8} if config is Qwen3Config else {}
    model(config(**SIZES, **extra)).save_pretrained(tmp_path)
    return tmp_path


def drawn():
    rng = np.random.default_rng(1)
    return [rng.integers(1, 128, length).astype(np.int32) for length in LENGTHS]


def padded(model, sequences):
    """Encode with transformers' own eager attention and a mask."""
    tokens = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = torch.from_numpy(sequence)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    mask = (torch.arange(tokens.shape[1]) < lengths[:, None]).long()
    hidden = model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
    return hidden[torch.arange(len(sequences)), lengths - 1]


def test_values_and_gradients_are_those_of_the_padded_forward(folder, float64):
    sequences, weights = drawn(), torch.linspace(-1, 1, 48, dtype=torch.float64)
    model = load_packed(folder).double()
    reference = type(model).from_pretrained(folder, attn_implementation="eager").double().eval()
    with float64.Float64():
        got, expected = encode_packed(model, pack(sequences)), padded(reference, sequences)
        (got * weights).sum().backward()
        (expected * weights).sum().backward()
    float64.assert_same(got, expected)
    for (name, parameter), other in zip(model.named_parameters(), reference.parameters(), strict=True):
        float64.assert_same(parameter.grad, other.grad, what=name)


def test_the_last_layer_computes_for_last_tokens_only(folder):
    model, seen = load_packed(folder), {}
    for layer in (0, 1):
        model.layers[layer].mlp.up_proj.register_forward_hook(
            lambda module, arguments, output, layer=layer: seen.update({layer: output.shape[1]})
        )
    with torch.inference_mode():
        encode_packed(model, pack(drawn()))
    assert seen == {0: sum(LENGTHS), 1: len(LENGTHS)}


def test_a_sequence_does_not_see_its_neighbours(folder, float64):
    model, sequences = load_packed(folder).double(), drawn()
    with torch.inference_mode(), float64.Float64():
        alone = torch.cat([encode_packed(model, pack([sequence])) for sequence in sequences])
        float64.assert_same(encode_packed(model, pack(sequences)), alone)


def test_bfloat16_autocast_stays_close_to_float32_and_closer_to_the_padded_forward(folder):
    model, sequences = load_packed(folder), drawn()
    reference = type(model).from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        full = encode_packed(model, pack(sequences))
        # Numbers of 8 bits are off by 2**-9 of themselves; the angle between vectors goes with the square of that.
        with torch.autocast("cpu", torch.bfloat16):
            half, other = encode_packed(model, pack(sequences)), padded(reference, sequences)
    assert half.dtype == torch.float32
    assert torch.cosine_similarity(full, half).min() >= 0.999
    assert torch.cosine_similarity(other.float(), half).min() >= 0.9999


def test_a_pack_lists_longest_first_and_finds_every_last_token():
    sequences = [np.array([5], np.int32), np.array([1, 2, 3], np.int32), np.array([8, 9], np.int32)]
    backbone = pack(sequences)
    assert backbone.lengths == (3, 2, 1)
    assert backbone.tokens_1T.tolist() == [[1, 2, 3, 8, 9, 5]]
    assert backbone.positions_1T.tolist() == [[0, 1, 2, 0, 1, 0]]
    assert backbone.starts.tolist() == [0, 3, 5, 6]
    assert backbone.last_S.tolist() == [5, 2, 4]


def test_an_empty_sequence_is_refused():
    with pytest.raises(ValueError, match="without tokens"):
        pack([np.array([1], np.int32), np.array([], np.int32)])


@pytest.mark.parametrize(
    ("asked", "named"),
    [({"sliding_window": 4}, "sliding_window"), ({"softcap": 30.0}, "softcap"), ({"dropout": 0.1}, "dropout")],
)
def test_attention_that_it_cannot_do_is_refused(asked, named):
    states = torch.zeros(1, 2, 3, 4)
    rest = {"cu_seq_lens_q": None, "max_length_q": 3, "sequence_lengths": (3,)}
    with pytest.raises(InputError, match=named):
        packed_attention(torch.nn.Identity(), states, states, states, None, **rest, **asked)


def test_attention_to_later_tokens_is_refused():
    module, states = torch.nn.Identity(), torch.zeros(1, 2, 3, 4)
    module.is_causal = False
    with pytest.raises(InputError, match="later tokens"):
        packed_attention(
            module, states, states, states, None, cu_seq_lens_q=None, max_length_q=3, sequence_lengths=(3,)
        )


@pytest.mark.parametrize("kind", ["StableLm", "Nemotron"])
def test_a_model_that_does_not_hand_on_where_sequences_start_is_refused_by_its_type(tmp_path, kind):
    getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**SIZES)).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"type {kind.lower()} does not hand on where sequences start; use a causal"):
        encode_packed(load_packed(tmp_path), pack(drawn()))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json"):
        load_packed(tmp_path)


def test_flash_attn_is_asked_for_causal_attention_within_each_sequence(monkeypatch):
    # No CPU has its kernel: a plain one with its signature stands in for it.
    def kernel(
        q, k, v, cu_seqlens_q, cu_seqlens_k, max_seqlen_q, max_seqlen_k, dropout_p=0.0, softmax_scale=None, causal=False
    ):
        assert (max_seqlen_q, max_seqlen_k, dropout_p) == (3, 3, 0.0)
        assert torch.equal(cu_seqlens_q, cu_seqlens_k)
        out = torch.empty_like(q)
        for start, end in zip(cu_seqlens_q[:-1], cu_seqlens_q[1:], strict=True):
            states = (whole[start:end].transpose(0, 1) for whole in (q, k, v))
            attended = torch.nn.functional.scaled_dot_product_attention(
                *states, is_causal=causal, scale=softmax_scale, enable_gqa=True
            )
            out[start:end] = attended.transpose(0, 1)
        return out

    monkeypatch.setitem(sys.modules, "flash_attn", SimpleNamespace(flash_attn_varlen_func=kernel))
    attention.flash_attention.cache_clear()
    torch.manual_seed(0)
    states = [torch.randn(heads, 6, 8, dtype=torch.float64) for heads in (4, 2, 2)]
    starts = torch.tensor([0, 3, 5, 6], dtype=torch.int32)
    try:
        found = attention._variable_length(*states, starts, 3, 0.3)
    finally:
        attention.flash_attention.cache_clear()
    torch.testing.assert_close(found, torch.cat(list(attention._attend_runs(*states, (3, 2, 1), 0.3, True))))
