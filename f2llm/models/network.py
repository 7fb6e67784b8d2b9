"""The forward pass of a causal decoder over a pack. Shapes: S sequences, T tokens of all of them, D dimensions."""

from typing import TYPE_CHECKING

import torch
from torch.nn import Linear

from f2llm.models.packing import Pack

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
