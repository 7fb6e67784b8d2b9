"""Settings of training, and twin recipes. Meaning, units and defaults: workflow/schemas/config/train.schema.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from f2llm.config.rights import Licence
from f2llm.config.tokens import PromptedModel

# What the authors' released code does (commit d752fc9), found by running it; docs/training.md says why each is a fault.
# warmup_ticks is the number of GPUs of the paper's smaller runs: accelerate's scheduler ticks once for each.
F2LLM = {
    "passage_gradient": "none",
    "mask_equal_positives": False,
    "negatives_drawn": "per_batch",
    "partial_batches": "repeat",
    "loss_precision": "model",
    "warmup_ticks": 16,
    "first_step_at_zero": True,
    "decay_vectors": True,
}
RECIPES: Mapping[str, Mapping[str, Any]] = {"default": {}, "f2llm": F2LLM}


@dataclass(frozen=True, kw_only=True)
class LossTerm:
    """One term of the loss and its weight."""

    term: Literal["hard", "in_batch"]
    weight: float


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The first so many components of the vectors, and the weight of the loss on them."""

    dimensions: int
    weight: float


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank additions that are trained instead of the weights (arXiv 2106.09685)."""

    rank: int
    alpha: float
    targets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What of each source is held out of training, and when the loss on it is taken."""

    share: float
    every: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Train:
    """Settings of the train stage: either steps or epochs, the other is None."""

    recipe: Literal["default", "f2llm"]
    steps: int | None
    epochs: int | None
    batch_size: int
    batches_per_step: int
    partial_batches: Literal["even", "repeat"]
    negatives: int
    negatives_drawn: Literal["per_tuple", "per_batch"]
    temperature: float
    losses: tuple[LossTerm, ...]
    matryoshka: tuple[Cut, ...]
    passage_gradient: Literal["full", "none"]
    mask_equal_positives: bool
    loss_precision: Literal["float32", "model"]
    learning_rate: float
    warmup_steps: int
    warmup_ticks: int
    first_step_at_zero: bool
    min_lr_ratio: float
    weight_decay: float
    decay_vectors: bool
    betas: tuple[float, float]
    clip_norm: float
    freeze_embeddings: bool
    lora: Lora | None
    precision: Literal["auto", "float32", "bfloat16"]
    compile: bool
    tokens_per_chunk: int
    activations_mb: int | None
    reshard_after_forward: bool
    checkpoint_every: int
    keep_checkpoints: int
    keep_every: int | None
    validation: Validation
    threads: int
    processes: int
    nodes: int


@dataclass(frozen=True, kw_only=True)
class TrainedSource:
    """The part of a source's stanza that the plan, the training and the model's first card read."""

    name: str
    task: Literal["retrieval", "classification", "clustering", "sts"]
    ready: bool
    instruction: str
    licence: Licence
    reference: str


@dataclass(frozen=True, kw_only=True)
class TrainedModel(PromptedModel):
    """The part of a backbone's stanza that the training and the model's first card read."""

    licence: Licence
    reference: str


def with_recipe(train: Mapping[str, Any]) -> dict[str, Any]:
    """`train` with the values of the recipe that it names; keys of `train` itself win.

    An unknown recipe is left for the schema to refuse.
    """
    return {**RECIPES.get(str(train.get("recipe", "default")), {}), **train}
