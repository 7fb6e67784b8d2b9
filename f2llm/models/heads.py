"""Dense layers after pooling, which some sentence encoders have (LaBSE, EmbeddingGemma): y = activation(W x + b).

A model folder keeps them in `dense.json` and `dense.safetensors`. They run in float32 over blocks of a fixed number of
rows, so that a vector depends on its text alone. Shapes: N texts, R rows of a block, I inputs, O outputs of a layer.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.records.files import read_json

if TYPE_CHECKING:
    import torch

LAYERS, WEIGHTS = "dense.json", "dense.safetensors"
# Activations by the last part of the class's name in torch.nn; nothing is imported by a name from a file.
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")
ROWS = 16


class DenseLayer(NamedTuple):
    """Weights and activation of one layer."""

    weight_OI: "torch.Tensor"
    bias_O: "torch.Tensor | None"
    activation: str  # one of ACTIVATIONS


def load_dense(folder: str | Path) -> list[DenseLayer]:
    """Read the layers of a model folder in float32, in order; an empty list where it has none."""
    if not Path(folder, LAYERS).is_file():
        return []
    from safetensors.torch import load_file

    weights = load_file(Path(folder, WEIGHTS))
    return [
        DenseLayer(weights[f"{number}.weight"].float(), weights.get(f"{number}.bias"), layer["activation"])
        for number, layer in enumerate(read_json(Path(folder, LAYERS))["layers"])
    ]


def vector_length(folder: str | Path) -> int | None:
    """The number of dimensions of the vectors of the model in `folder`; None where the folder holds no model."""
    for name, key in ((LAYERS, "dim"), ("config.json", "hidden_size"), ("vectors.json", "dim")):
        if Path(folder, name).is_file():
            return int(read_json(Path(folder, name))[key])
    return None


def run_dense(vectors_NI: NDArray[np.float32], layers: list[DenseLayer]) -> NDArray[np.float32]:
    """The outputs [N, O] in float32 of one or more `layers` for pooled states [N, I]."""
    import torch

    out_NO = np.zeros((len(vectors_NI), layers[-1].weight_OI.shape[0]), np.float32)
    with torch.inference_mode():
        for first in range(0, len(vectors_NI), ROWS):
            rows_RI = vectors_NI[first : first + ROWS]
            state = torch.zeros(ROWS, vectors_NI.shape[1])
            state[: len(rows_RI)] = torch.from_numpy(rows_RI)
            for layer in layers:
                activation = getattr(torch.nn, layer.activation)()
                state = activation(torch.nn.functional.linear(state, layer.weight_OI, layer.bias_O))
            out_NO[first : first + ROWS] = state[: len(rows_RI)].numpy()
    return out_NO
