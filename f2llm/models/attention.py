"""Attention within sequences that lie end to end in one row of tokens.

On CUDA variable-length flash kernels compute it (those of flash-attn where it is installed, else torch's own),
elsewhere one dense call for each run of equal lengths.
Shapes: S sequences, T tokens of all sequences, H heads, L tokens of one sequence, D dimensions.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention

from f2llm.records.errors import InputError

ATTENTION = "packed"


def packed_attention(  # the signature is that of transformers' AttentionInterface
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int = 0,
    sequence_lengths: Sequence[int] = (),
    causal: bool = True,
    **other: Any,  # noqa: ANN401 - whatever a model adds
) -> tuple[torch.Tensor, None]:
    """Attend within each sequence, if `causal` to earlier tokens alone: [1, H, T, D] queries -> [1, T, H, D].

    Raises:
        InputError: the model asks for dropout, a window, capped scores or attention to later tokens, or does not hand
            on where sequences start.
    """
    if not sequence_lengths:
        named = getattr(getattr(module, "config", None), "model_type", type(module).__name__)
        raise InputError(
            f"packed attention: a model of type {named} does not hand on where sequences start; use a causal decoder "
            "that does, such as Llama or Qwen3"
        )
    refused = {name: other.get(name) for name in ("sliding_window", "softcap", "s_aux")} | {"dropout": dropout or None}
    requested = sorted(name for name, value in refused.items() if value is not None)
    if requested or attention_mask is not None or (causal and not getattr(module, "is_causal", True)):
        what = ", ".join(requested) or "a mask or attention to later tokens"
        raise InputError(f"packed attention: the model asks for {what}; use a causal decoder without it")
    kind = query.device.type
    if torch.is_autocast_enabled(kind):
        query, key, value = (states.to(torch.get_autocast_dtype(kind)) for states in (query, key, value))
    if kind == "cuda" and query.dtype in (torch.bfloat16, torch.float16):
        out_THD = _variable_length(query[0], key[0], value[0], cu_seq_lens_q, max_length_q, scaling)
    else:
        out_THD = torch.cat(list(_attend_runs(query[0], key[0], value[0], sequence_lengths, scaling, causal)))
    return out_THD[None], None


def _attend_runs(
    query_HTD: torch.Tensor,
    key_HTD: torch.Tensor,
    value_HTD: torch.Tensor,
    lengths: Sequence[int],
    scaling: float | None,
    causal: bool,
) -> Iterator[torch.Tensor]:
    """[tokens, H, D] of each run of sequences of equal length: one dense call a run, on views."""
    grouped = query_HTD.shape[0] != key_HTD.shape[0]
    for tokens, shape in runs(lengths):
        states = (whole[:, tokens].unflatten(1, shape).transpose(0, 1) for whole in (query_HTD, key_HTD, value_HTD))
        out_SHLD = scaled_dot_product_attention(*states, is_causal=causal, scale=scaling, enable_gqa=grouped)
        yield out_SHLD.transpose(1, 2).flatten(0, 1)


def runs(lengths: Sequence[int]) -> Iterator[tuple[slice, tuple[int, int]]]:
    """The tokens of each run of sequences of equal length, with the number of sequences and their length."""
    start = 0
    for length, run in groupby(lengths):
        count = len(list(run))
        yield slice(start, start + count * length), (count, length)
        start += count * length


@cache
def flash_attention() -> Callable[..., torch.Tensor] | None:
    """`flash_attn_varlen_func` of the package flash-attn (2.x); None where it cannot be imported."""
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None
    return flash_attn_varlen_func


def _variable_length(
    query_HTD: torch.Tensor,
    key_HTD: torch.Tensor,
    value_HTD: torch.Tensor,
    starts: torch.Tensor,
    longest: int,
    scaling: float | None,
) -> torch.Tensor:
    """[T, H, D] from the variable-length kernel of flash-attn where it is installed, else from that of torch.

    The tokens must end where the last sequence ends: beyond it torch's kernel gives gradients of NaN (pytorch issue
    176793).
    """
    query_THD, key_THD, value_THD = (x.transpose(0, 1).contiguous() for x in (query_HTD, key_HTD, value_HTD))
    if kernel := flash_attention():
        return kernel(
            query_THD, key_THD, value_THD, starts, starts, longest, longest, softmax_scale=scaling, causal=True
        )
    return varlen_attn(
        query_THD, key_THD, value_THD, starts, starts, longest, longest,
        window_size=(-1, 0), scale=scaling, enable_gqa=query_THD.shape[1] != key_THD.shape[1],
    )  # fmt: skip
