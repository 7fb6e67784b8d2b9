"""config.json in the forms of two versions: what version 4 is told, and that version 5 still reads the same model."""

import pytest
from transformers import AutoConfig

from f2llm.models.config_forms import in_both_forms

ROPE = {"rope_theta": 500000.0, "rope_type": "default"}
SHAPE = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "original_max_position_embeddings": 32}


def config(kind="llama", **rope):
    return {"model_type": kind, **SHAPE, "rope_parameters": ROPE | rope}


def test_the_base_of_the_rotary_positions_is_stated_at_the_top_as_well():
    forms = in_both_forms(config())
    assert forms.config == config() | {"rope_theta": 500000.0}
    assert forms.older_fault == ""
    assert in_both_forms(forms.config) == forms


def test_a_scaling_is_stated_as_version_4_names_it():
    forms = in_both_forms(config(**YARN))
    assert forms.config["rope_scaling"] == YARN
    assert (forms.config["rope_theta"], forms.older_fault) == (500000.0, "")


def test_a_part_of_each_head_is_stated_at_the_top():
    assert in_both_forms(config("phi", partial_rotary_factor=0.5)).config["partial_rotary_factor"] == 0.5


def test_architectures_with_names_of_their_own_have_these():
    neox = in_both_forms(config("gpt_neox", partial_rotary_factor=0.25)).config
    assert (neox["rotary_emb_base"], neox["rotary_pct"]) == (500000.0, 0.25)
    layers = {"full_attention": ROPE, "sliding_attention": ROPE | {"rope_theta": 20000.0}}
    forms = in_both_forms({"model_type": "gemma3_text", "rope_parameters": layers})
    assert (forms.config["rope_theta"], forms.config["rope_local_base_freq"]) == (500000.0, 20000.0)
    assert forms.older_fault == ""


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (config(rope_type="proportional"), "scaled by 'proportional'"),
        (config(rope_type="longrope", factor=3.0, **LONG), "'longrope' has a factor of its own"),
        (config("brand_new"), "'brand_new' was not compared"),
        ({"model_type": "olmo3", "rope_parameters": {"full_attention": ROPE}}, "differ by kind of layer"),
    ],
)
def test_what_cannot_be_said_to_version_4_is_named(content, fault):
    assert fault in in_both_forms(content).older_fault


def test_a_model_without_rotary_positions_stays_as_it_is():
    assert in_both_forms({"model_type": "bert", "hidden_size": 8}) == ({"model_type": "bert", "hidden_size": 8}, "")


@pytest.mark.parametrize("kind", ["llama", "qwen3", "phi3", "stablelm"])
@pytest.mark.parametrize("rope", [{}, YARN, {"rope_type": "longrope", **LONG}, {"rope_type": "linear", "factor": 2.0}])
def test_version_5_reads_the_same_from_both_forms(kind, rope):
    if kind == "phi3" and rope and rope["rope_type"] != "longrope":
        pytest.skip("phi3 knows longrope alone")
    content = config(kind, **rope) | {"original_max_position_embeddings": 32}
    first, both = (AutoConfig.for_model(**form).rope_parameters for form in (content, in_both_forms(content).config))
    assert first == {name: value for name, value in both.items() if name != "type"}
