"""Twin recipes: values of `train` that hold where a config does not name the key itself."""

from collections.abc import Mapping
from typing import Any

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


def with_recipe(train: Mapping[str, Any]) -> dict[str, Any]:
    """`train` with the values of the recipe that it names; keys of `train` itself win.

    An unknown recipe is left for the schema to refuse.
    """
    return {**RECIPES.get(str(train.get("recipe", "default")), {}), **train}
