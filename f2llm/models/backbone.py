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

from pathlib import Path
from typing import TYPE_CHECKING

from f2llm.errors import InputError
from f2llm.models.attention import ATTENTION, packed_attention
from f2llm.models.network import LastTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


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
