"""Loading a causal decoder for the padding-free forward pass: sequences lie end to end in one row of tokens.

transformers calls the attention function that is registered under a name, with the keyword arguments of the model's
forward pass; for a name that it does not know it builds no mask. Lengths are among these arguments, never guessed from
positions. Only the state of each sequence's last token is used, so the last layer computes queries, attention output
and feed-forward for these tokens alone: exact, and it saves 1/9 of all work in a model of 8 layers.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from f2llm.errors import InputError
from f2llm.models.attention import ATTENTION, packed_attention
from f2llm.models.network import LastTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_packed(folder: str | Path) -> "PreTrainedModel":
    """Load a plain transformers folder in float32, without remote code, with attention that reads packs.

    The model is in eval mode: no dropout, so no state of random numbers. Call it through `encode_packed` only: the last
    layer computes the states of all but last tokens wrongly.

    Raises:
        InputError: the folder is no model, or attention in it is not causal over the whole sequence.
    """
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
