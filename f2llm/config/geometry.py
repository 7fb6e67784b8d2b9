"""Operations and memory of a decoder of the Llama and Qwen families, from its shape."""

import json
from dataclasses import dataclass
from pathlib import Path

# Weights, gradients and the two moments of AdamW, all float32; of these weights and gradients alone.
STATE_BYTES, WHOLE_BYTES = 16, 8
# A backward pass costs twice the forward pass.
FORWARD_AND_BACKWARD = 3
BYTES = {"float32": 4, "bfloat16": 2}
# The last layer computes most for the last tokens only.
LAST_LAYER = 0.2


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Shape of a decoder, for estimates before its weights are here."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int


def layer_weights(geometry: Geometry) -> int:
    """Number of weights in the matrices of all layers."""
    attention = geometry.hidden * geometry.head_dim * (2 * geometry.heads + 2 * geometry.kv_heads)
    return geometry.layers * (attention + 3 * geometry.hidden * geometry.intermediate)


def weights(geometry: Geometry) -> int:
    """Number of weights in all matrices, the token embeddings included; norms are left out (below 0.1 %)."""
    return layer_weights(geometry) + geometry.vocabulary * geometry.hidden


def forward_flops(geometry: Geometry, *, tokens: float, mean_length: float) -> float:
    """Operations of a forward pass over `tokens`, in sequences of `mean_length` tokens.

    Two for each weight and token, and causal attention over half of the sequence on average.
    """
    attention = 4 * geometry.layers * geometry.heads * geometry.head_dim * mean_length / 2
    return tokens * (2.0 * layer_weights(geometry) + attention)


def training_flops(geometry: Geometry, *, tokens: float, mean_length: float) -> float:
    """Operations of a forward and a backward pass."""
    return FORWARD_AND_BACKWARD * forward_flops(geometry, tokens=tokens, mean_length=mean_length)


def state_bytes(geometry: Geometry, *, processes: int) -> float:
    """Bytes of weights, gradients and moments in one process of `processes`, which share them.

    Of several processes each also holds all weights and gradients while a step lasts.
    """
    return weights(geometry) * (STATE_BYTES / processes + WHOLE_BYTES * (processes > 1))


def activation_bytes(geometry: Geometry, *, precision: str) -> float:
    """Bytes that a token keeps for the backward pass, about.

    A layer keeps ten float32 vectors of the residual stream, four of the feed-forward block and four of the
    heads; the last layer a fifth of that. A rule of thumb, within a quarter of what was measured on three
    models; the trainer measures it on the model itself.
    """
    inner = 4 * geometry.intermediate + 4 * (geometry.heads + geometry.kv_heads) * geometry.head_dim
    layer = 10 * geometry.hidden * BYTES["float32"] + inner * BYTES[precision]
    return (geometry.layers - 1 + LAST_LAYER) * layer


def read_geometry(folder: str | Path) -> Geometry:
    """Shape of the model in a plain transformers folder, from its config.json."""
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    heads = config["num_attention_heads"]
    return Geometry(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
    )
