"""AdamW as F2LLM sets it, and the learning rate as a function of the step alone."""

import math

import torch

from f2llm.config.train import Train


def learning_rate(step: int, *, steps: int, settings: Train) -> float:
    """Return the rate of a 0-based step of `steps`: linear warm-up, then a cosine, never below min_lr_ratio x peak.

    With `first_step_at_zero` a step has the rate that torch's LambdaLR gives it, one step late.
    `warmup_ticks` are the warm-up steps that pass in one step: accelerate's scheduler ticks once for
    each process, so upstream's 500 warm-up steps end after 32 on 16 GPUs.
    """
    peak, late = settings.learning_rate, 0 if settings.first_step_at_zero else 1
    warmup = settings.warmup_steps / settings.warmup_ticks
    if step < warmup:
        return peak * min(1.0, (step + late) / warmup)
    done = (step - warmup) / max(1, steps - warmup)
    return peak * max(settings.min_lr_ratio, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def make_optimiser(model: torch.nn.Module, *, settings: Train) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters; vectors (norms, biases) decay only where the settings say so."""
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
