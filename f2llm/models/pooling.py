"""From states of tokens to one vector a text. Shapes: B texts, T tokens (padding on the right), D dimensions."""

from typing import TYPE_CHECKING

from f2llm.errors import InputError

if TYPE_CHECKING:
    import torch


def pool(hidden_BTD: "torch.Tensor", lengths_B: "torch.Tensor", *, pooling: str) -> "torch.Tensor":
    """The pooled vectors [B, D] in float32, not normalised; differentiable.

    `lengths_B` counts the tokens of each text (int64, 1..T); padding behind them is not read. "last" takes the state of
    the last token, "mean" the average of all, "cls" the first.

    Raises:
        InputError: another pooling.
    """
    import torch

    if pooling == "last":
        rows_B = torch.arange(len(hidden_BTD), device=hidden_BTD.device)
        return hidden_BTD[rows_B, lengths_B - 1].float()
    if pooling == "cls":
        return hidden_BTD[:, 0].float()
    if pooling == "mean":
        inside_BT = torch.arange(hidden_BTD.shape[1], device=hidden_BTD.device) < lengths_B[:, None]
        kept_BTD = hidden_BTD.float().masked_fill(~inside_BT[..., None], 0.0)
        return kept_BTD.sum(1) / lengths_B[:, None]
    raise InputError(f"pooling: {pooling!r} is not one of last, mean, cls; choose one of these")
