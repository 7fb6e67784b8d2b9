"""AdamW as F2LLM sets it, and the learning rate as a function of the step alone."""

import math

import torch

from f2llm.config.train import Train


def learning_rate(step: int, *, steps: int, settings: Train) -> float:
    """The rate at a 0-based step of `steps`: linear warm-up, then a cosine, never below min_lr_ratio x peak.

    With `first_step_at_zero` the warm-up is one step late, as with torch's LambdaLR: the first step has rate 0.
    `warmup_ticks` is the number of warm-up steps that pass in one step: accelerate's scheduler ticks once for each
    process, so upstream's 500 warm-up steps end after 32 on 16 GPUs.
    """
    peak, offset = settings.learning_rate, 0 if settings.first_step_at_zero else 1
    warmup = settings.warmup_steps / settings.warmup_ticks
    if step < warmup:
        return peak * min(1.0, (step + offset) / warmup)
    done = (step - warmup) / max(1, steps - warmup)
    return peak * max(settings.min_lr_ratio, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def make_optimiser(model: torch.nn.Module, *, settings: Train) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; weight decay on vectors (norms, biases) only with `decay_vectors`."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decaying = [p for p in trainable if p.ndim > 1 or settings.decay_vectors]
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1 and not settings.decay_vectors], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )
