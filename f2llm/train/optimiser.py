"""AdamW as F2LLM sets it, and the learning rate as a function of the step alone."""

import math

import torch

from f2llm.config.run import Train


def learning_rate(step: int, *, settings: Train) -> float:
    """Return the rate of a 0-based step: linear warm-up to the peak, then a cosine to min_lr_ratio x peak."""
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return peak * (settings.min_lr_ratio + (1 - settings.min_lr_ratio) * cosine)


def make_optimiser(model: torch.nn.Module, *, settings: Train) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters; vectors (norms, biases) do not decay."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )
