"""Padding-free forward of a causal decoder: sequences lie end to end in one row of tokens.

transformers hands every layer's attention to a function that is registered under a name, together
with the keyword arguments of the model's forward; with a name of our own it builds no mask. Lengths
are explicit, never guessed from positions. The same call runs on CUDA (variable-length flash kernels:
those of flash-attn where it is installed, else torch's own) and elsewhere (one dense call for each run of
equal lengths: views, no copies).
Only the state of each sequence's last token is wanted, so the last layer computes queries, attention
output and feed-forward for these tokens alone: exact, and 1/9 of all work in a model of 8 layers.
Shapes: S sequences, T tokens of all sequences, H heads, L tokens of one sequence, D dimensions.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

ATTENTION = "packed"


class Pack(NamedTuple):
    """Sequences end to end, longest first.

    Attributes:
        tokens_1T: token ids, int64.
        positions_1T: position of each token in its own sequence, int64.
        starts: offset of each sequence and the total, int32 [S + 1].
        lengths: tokens of each sequence, descending.
        last_S: place in T of the last token of each sequence, in the order the sequences were given.
    """

    tokens_1T: "torch.Tensor"
    positions_1T: "torch.Tensor"
    starts: "torch.Tensor"
    lengths: tuple[int, ...]
    last_S: "torch.Tensor"


def load_packed(folder: str | Path) -> "PreTrainedModel":
    """Load a plain transformers folder in float32 whose attention reads packs, without remote code.

    The model is in eval mode: no dropout, so no generator state. Call it through `encode_packed` only:
    the states that its last layer leaves at other tokens mean nothing.

    Raises:
        InputError: the folder is no model, or attention in it is not causal over the whole sequence.
    """
    import torch
    from transformers import AttentionInterface, AutoModel

    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"{folder}: there is no config.json, so no model; give the folder of a model")
    AttentionInterface.register(ATTENTION, packed_attention)
    model = AutoModel.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False,
        attn_implementation=ATTENTION,
    )  # fmt: skip
    other = sorted(set(getattr(model.config, "layer_types", None) or ()) - {"full_attention"})
    if other or getattr(model.config, "is_encoder_decoder", False):
        raise InputError(f"{folder}: attention of kind {', '.join(other) or 'encoder-decoder'}; use a causal decoder")
    model.last_tokens = LastTokens()
    if getattr(model, "layers", None):
        model.last_tokens.confine(model.layers[-1])
    return model.eval()


class LastTokens:
    """Confines position-wise modules to the last token of each sequence.

    Hooks cut the module's input to these tokens and put its output back among zeros, so the rest of
    the model sees the shape that it expects.
    """

    def __init__(self) -> None:
        self._places_S: torch.Tensor | None = None
        self._tokens = 0

    def aim(self, packed: Pack) -> None:
        """Set the pack that the next forward pass reads."""
        self._places_S, self._tokens = packed.starts[1:].long() - 1, packed.tokens_1T.shape[1]

    def confine(self, layer: "torch.nn.Module") -> None:
        """Confine what of a decoder layer is position-wise and not read by later tokens, where it is a plain one."""
        from torch.nn import Linear

        modules = dict(layer.named_modules())
        names = [name for name in ("self_attn.q_proj", "self_attn.o_proj") if isinstance(modules.get(name), Linear)]
        dense = (modules.get(f"mlp.{name}") for name in ("gate_proj", "up_proj", "down_proj"))
        names += ["mlp"] if all(isinstance(module, Linear) for module in dense) else []
        for name in names:
            modules[name].register_forward_pre_hook(self._cut)
            modules[name].register_forward_hook(self._put_back)

    def _cut(self, module: "torch.nn.Module", arguments: tuple["torch.Tensor", ...]) -> tuple["torch.Tensor"]:
        (hidden_1TD,) = arguments
        return (hidden_1TD.index_select(1, self._places_S),)

    def _put_back(
        self, module: "torch.nn.Module", arguments: tuple["torch.Tensor", ...], output_1SD: "torch.Tensor"
    ) -> "torch.Tensor":
        zeros_1TD = output_1SD.new_zeros(1, self._tokens, output_1SD.shape[2])
        return zeros_1TD.index_copy(1, self._places_S, output_1SD)


def pack(sequences: Sequence[NDArray[np.int32]], *, device: "torch.device | str" = "cpu") -> Pack:
    """Lay `sequences` (each at least one token) end to end on `device`, longest first."""
    import torch

    order = sorted(range(len(sequences)), key=lambda place: -len(sequences[place]))
    lengths = np.array([len(sequences[place]) for place in order], np.int64)
    if lengths[-1] == 0:
        raise ValueError("a sequence without tokens has no last token")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    last_S = np.empty(len(sequences), np.int64)
    last_S[order] = starts[1:] - 1
    tokens_T = np.concatenate([sequences[place] for place in order]).astype(np.int64)
    positions_T = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
    return Pack(
        tokens_1T=torch.from_numpy(tokens_T)[None].to(device),
        positions_1T=torch.from_numpy(positions_T)[None].to(device),
        starts=torch.from_numpy(starts.astype(np.int32)).to(device),
        lengths=tuple(lengths.tolist()),
        last_S=torch.from_numpy(last_S).to(device),
    )


def encode_packed(model: "PreTrainedModel", packed: Pack) -> "torch.Tensor":
    """Return the state of each sequence's last token, [S, D] float32 in the given order, not normalised.

    `model` comes from `load_packed`.
    """
    model.last_tokens.aim(packed)
    hidden_1TD = model(
        input_ids=packed.tokens_1T,
        position_ids=packed.positions_1T,
        use_cache=False,
        cu_seq_lens_q=packed.starts,
        max_length_q=packed.lengths[0],
        sequence_lengths=packed.lengths,
    ).last_hidden_state
    return hidden_1TD[0].index_select(0, packed.last_S).float()


def packed_attention(  # the signature is that of transformers' AttentionInterface
    module: "torch.nn.Module",
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: "torch.Tensor | None",
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    cu_seq_lens_q: "torch.Tensor | None" = None,
    max_length_q: int = 0,
    sequence_lengths: tuple[int, ...] = (),
    **other: Any,  # noqa: ANN401 - whatever a model adds
) -> tuple["torch.Tensor", None]:
    """Attend causally within each sequence: [1, H, T, D] queries -> [1, T, H, D].

    Raises:
        InputError: the model asks for dropout, a window, capped scores or attention to later tokens, or does not hand
            on where sequences start.
    """
    import torch

    if not sequence_lengths:
        named = getattr(getattr(module, "config", None), "model_type", type(module).__name__)
        raise InputError(
            f"packed attention: a model of type {named} does not hand on where sequences start; use a causal decoder "
            "that does, such as Llama or Qwen3"
        )
    refused = {name: other.get(name) for name in ("sliding_window", "softcap", "s_aux")} | {"dropout": dropout or None}
    asked = sorted(name for name, value in refused.items() if value is not None)
    if asked or attention_mask is not None or not getattr(module, "is_causal", True):
        what = ", ".join(asked) or "a mask or attention to later tokens"
        raise InputError(f"packed attention: the model asks for {what}; use a causal decoder without it")
    kind = query.device.type
    if torch.is_autocast_enabled(kind):
        query, key, value = (states.to(torch.get_autocast_dtype(kind)) for states in (query, key, value))
    if kind == "cuda" and query.dtype in (torch.bfloat16, torch.float16):
        out_THD = _variable_length(query[0], key[0], value[0], cu_seq_lens_q, max_length_q, scaling)
    else:
        out_THD = torch.cat(list(_runs(query[0], key[0], value[0], sequence_lengths, scaling)))
    return out_THD[None], None


def _runs(
    query_HTD: "torch.Tensor",
    key_HTD: "torch.Tensor",
    value_HTD: "torch.Tensor",
    lengths: tuple[int, ...],
    scaling: float | None,
) -> Iterator["torch.Tensor"]:
    """Yield [tokens, H, D] of each run of equal lengths, one dense causal call a run."""
    from torch.nn.functional import scaled_dot_product_attention

    start, grouped = 0, query_HTD.shape[0] != key_HTD.shape[0]
    for length, run in groupby(lengths):
        count = len(list(run))
        end = start + count * length
        states = (
            whole[:, start:end].unflatten(1, (count, length)).transpose(0, 1)
            for whole in (query_HTD, key_HTD, value_HTD)
        )
        out_SHLD = scaled_dot_product_attention(*states, is_causal=True, scale=scaling, enable_gqa=grouped)
        yield out_SHLD.transpose(1, 2).flatten(0, 1)
        start = end


@cache
def flash_attention() -> Callable[..., "torch.Tensor"] | None:
    """Return `flash_attn_varlen_func` of the package flash-attn (2.x), None where it cannot be imported."""
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_varlen_func


def _variable_length(
    query_HTD: "torch.Tensor",
    key_HTD: "torch.Tensor",
    value_HTD: "torch.Tensor",
    starts: "torch.Tensor",
    longest: int,
    scaling: float | None,
) -> "torch.Tensor":
    """Return [T, H, D] of flash-attn's variable-length kernel where that package is installed, else of torch's own.

    The tokens must end where the last sequence ends: beyond it gradients of torch's are NaN (pytorch issue 176793).
    """
    query_THD, key_THD, value_THD = (x.transpose(0, 1).contiguous() for x in (query_HTD, key_HTD, value_HTD))
    if kernel := flash_attention():
        asked = (query_THD, key_THD, value_THD, starts, starts, longest, longest)
        return kernel(*asked, softmax_scale=scaling, causal=True)
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn(
        query_THD, key_THD, value_THD, starts, starts, longest, longest,
        window_size=(-1, 0), scale=scaling, enable_gqa=query_THD.shape[1] != key_THD.shape[1],
    )  # fmt: skip
