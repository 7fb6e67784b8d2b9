"""A causal decoder without padding, and its forward pass over a pack: sequences lie end to end in one row of tokens.

transformers calls the attention function that is registered under a name, with the keyword arguments of the model's
forward pass; for a name that it does not know it builds no mask. Lengths are among these arguments, never guessed from
positions. Only the state of each sequence's last token is used, so the last layer computes queries, attention output
and feed-forward for these tokens alone: exact, and it saves 1/9 of all work in a model of 8 layers.
Shapes: S sequences, T tokens of all of them, D dimensions.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import Linear

from f2llm.models.attention import ATTENTION, packed_attention
from f2llm.models.packing import Pack
from f2llm.records.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class LastTokens:
    """Confines position-wise modules of a layer to the last token of each sequence.

    Hooks cut a module's input to these tokens and put its output back among zeros, so that the rest of the model sees
    the shape that it expects.
    """

    def __init__(self) -> None:
        self._places_S: torch.Tensor | None = None
        self._tokens = 0

    def aim(self, packed: Pack) -> None:
        """Set the pack that the next forward pass reads."""
        self._places_S, self._tokens = packed.starts[1:].long() - 1, packed.tokens_1T.shape[1]

    def confine(self, layer: torch.nn.Module) -> None:
        """Confine queries, attention output and feed-forward of a decoder layer, where they are plain linear layers.

        Keys and values are not confined: the last token attends to those of all tokens.
        """
        modules = dict(layer.named_modules())
        names = [name for name in ("self_attn.q_proj", "self_attn.o_proj") if isinstance(modules.get(name), Linear)]
        feed_forward = (modules.get(f"mlp.{name}") for name in ("gate_proj", "up_proj", "down_proj"))
        names += ["mlp"] if all(isinstance(module, Linear) for module in feed_forward) else []
        for name in names:
            modules[name].register_forward_pre_hook(self._cut)
            modules[name].register_forward_hook(self._put_back)

    def _cut(self, module: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        (hidden_1TD,) = arguments
        return (hidden_1TD.index_select(1, self._places_S),)

    def _put_back(
        self, module: torch.nn.Module, arguments: tuple[torch.Tensor, ...], output_1SD: torch.Tensor
    ) -> torch.Tensor:
        zeros_1TD = output_1SD.new_zeros(1, self._tokens, output_1SD.shape[2])
        return zeros_1TD.index_copy(1, self._places_S, output_1SD)


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


def encode_packed(model: "PreTrainedModel", packed: Pack) -> torch.Tensor:
    """The states [S, D] of the sequences' last tokens, float32, in the order in which they were given, not normalised.

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
