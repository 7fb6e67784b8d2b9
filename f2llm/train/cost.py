"""Arithmetic and memory of training a decoder, from its shape."""

import json
from pathlib import Path
from typing import NamedTuple

# Weights, gradients and the two moments of AdamW, all float32.
STATE_BYTES = 16
# A backward pass costs twice the forward pass.
FORWARD_AND_BACKWARD = 3


class Geometry(NamedTuple):
    """The shape of a decoder of the Llama and Qwen families."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    @property
    def layer_weights(self) -> int:
        """Weights of all matrices of all layers."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def weights(self) -> int:
        """Weights of all matrices, the token embeddings included; norms are left out (below 0.1 %)."""
        return self.layer_weights + self.vocabulary * self.hidden

    def flops(self, *, tokens: int, mean_length: float) -> float:
        """Return the operations of a forward and a backward pass over `tokens`, in sequences of `mean_length`.

        Two for each weight and token, and attention over half of the sequence on average.
        """
        attention = 4 * self.layers * self.heads * self.head_dim * mean_length / 2
        return FORWARD_AND_BACKWARD * tokens * (2.0 * self.layer_weights + attention)


def read_geometry(folder: str | Path) -> Geometry:
    """Read the shape from the config.json of a plain transformers folder."""
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
