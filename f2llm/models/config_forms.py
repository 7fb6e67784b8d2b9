"""The keys of a model's config.json under the names of transformers 4 as well, so that both versions read one model.

Version 5 keeps all about rotary positions in `rope_parameters`. Version 4 does not know this key: without a word it
takes a `rope_theta` of 10,000 and no scaling, and gives other vectors. Version 5 reads the older names too.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

OLDER = "4.57"  # the version of transformers 4 whose names are written, which tests/clients tries
NEWER = "5"
# Scalings that the older version computes in the same way; keys that are not part of the scaling there.
SCALINGS = ("linear", "dynamic", "yarn", "llama3", "longrope")
BESIDE_SCALING = ("rope_theta", "partial_rotary_factor")
# What the older version calls the base of the rotary positions, of each kind of layer where they differ.
THETAS = {"": "rope_theta"}
THETAS_OF = {
    "gemma3_text": {"full_attention": "rope_theta", "sliding_attention": "rope_local_base_freq"},
    "gpt_neox": {"": "rotary_emb_base"},
    "modernbert": {"full_attention": "global_rope_theta", "sliding_attention": "local_rope_theta"},
}
PARTS = {"gpt_neox": "rotary_pct"}  # other names of `partial_rotary_factor`
# Architectures that gave the same vectors under both versions: those of `make test-clients`.
SAME_IN_BOTH = frozenset(
    {
        "albert", "arcee", "bert", "camembert", "cohere", "deberta-v2", "distilbert", "electra", "ernie4_5", "exaone4",
        "gemma", "gemma3_text", "glm", "glm4", "gpt2", "gpt_neox", "granite", "helium", "hunyuan_v1_dense", "llama",
        "ministral", "mistral", "mixtral", "modernbert", "mpnet", "nemotron", "olmo", "olmo2", "opt", "persimmon",
        "phi", "phi3", "phimoe", "qwen2", "qwen3", "qwen3_moe", "roberta", "seed_oss", "smollm3", "stablelm",
        "starcoder2", "xlm-roberta",
    }
)  # fmt: skip


class ConfigForms(NamedTuple):
    """A config.json with the names of both versions."""

    config: dict[str, Any]
    older_fault: str  # why version 4 does not read the same model; "" where it does


def in_both_forms(config: Mapping[str, Any]) -> ConfigForms:
    """The keys of `config` with those that transformers 4 reads instead, and what cannot be said to it."""
    kind, rope = str(config.get("model_type", "")), config.get("rope_parameters") or {}
    thetas = THETAS_OF.get(kind, THETAS)
    layers = {name: value for name, value in rope.items() if isinstance(value, dict)} or {"": rope}
    older: dict[str, Any] = {}
    fault = "" if kind in SAME_IN_BOTH else f"its architecture {kind!r} was not compared under both"
    for layer, parameters in layers.items():
        if layer not in thetas:
            fault = f"its rotary positions differ by kind of layer ({', '.join(layers)})"
            continue
        older[thetas[layer]] = parameters.get("rope_theta")
        if "partial_rotary_factor" in parameters:
            older[PARTS.get(kind, "partial_rotary_factor")] = parameters["partial_rotary_factor"]
        fault = _add_scaling(older, parameters, config, layer=layer) or fault
    return ConfigForms({**config, **{key: value for key, value in older.items() if value is not None}}, fault)


def _add_scaling(older: dict[str, Any], parameters: Mapping[str, Any], config: Mapping[str, Any], *, layer: str) -> str:
    """Add the scaling of the layers of a kind to the keys of version 4; why it cannot, "" where it can."""
    scaling = parameters.get("rope_type", "default")
    if scaling == "default":
        return ""
    if layer:
        return f"its rotary positions are scaled by {scaling!r} in layers of kind {layer} alone"
    older["rope_scaling"] = {key: value for key, value in parameters.items() if key not in BESIDE_SCALING}
    if scaling not in SCALINGS:
        return f"its rotary positions are scaled by {scaling!r}"  # version 4 stops at this name: loud, not wrong
    if scaling == "longrope":
        longest, trained = config.get("max_position_embeddings"), parameters.get("original_max_position_embeddings")
        older["original_max_position_embeddings"] = trained
        if config["model_type"] == "phi3":  # refused there with any other key
            older["rope_scaling"] = {
                "type": scaling,
                **{name: parameters[name] for name in ("short_factor", "long_factor")},
            }
        if parameters.get("attention_factor") is None and parameters.get("factor") not in (None, longest / trained):
            return f"its 'longrope' has a factor of its own ({parameters['factor']})"
    return ""
