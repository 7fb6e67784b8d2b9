"""Twin recipes: the authors' faults are named switches, and a config's own keys win."""

import pytest

from f2llm.config.check import check, load_schema, with_defaults
from f2llm.config.load import load_run_file
from f2llm.config.train import RECIPES, with_recipe

SCHEMA = load_schema("config")["properties"]["train"]
NEEDED = {"steps": 3, "batch_size": 4, "negatives": 2, "learning_rate": 0.1, "warmup_steps": 1}


def filled(**changes):
    return with_defaults(with_recipe(NEEDED | changes), SCHEMA)


def test_recipes_hold_keys_and_values_that_the_schema_knows():
    for name, values in RECIPES.items():
        assert name in SCHEMA["properties"]["recipe"]["enum"]
        assert check(NEEDED | {"recipe": name} | dict(values), schema=SCHEMA, where="recipe") == []
    assert set(RECIPES) == set(SCHEMA["properties"]["recipe"]["enum"])


def test_every_key_of_the_authors_recipe_differs_from_the_default():
    ours, theirs = filled(), filled(recipe="f2llm")
    assert {key for key in ours if ours[key] != theirs[key]} == {"recipe", *RECIPES["f2llm"]}


def test_keys_of_the_config_win_over_the_recipe():
    assert filled(recipe="f2llm")["warmup_ticks"] == 16
    assert filled(recipe="f2llm", warmup_ticks=32)["warmup_ticks"] == 32


@pytest.mark.parametrize("recipe", ["unknown", 3, ["f2llm"]])
def test_an_unknown_recipe_is_left_to_the_schema(recipe):
    assert with_recipe({"recipe": recipe}) == {"recipe": recipe}
    (fault,) = check(NEEDED | {"recipe": recipe}, schema=SCHEMA, where="config")
    assert "recipe" in fault


def test_the_shipped_run_corrects_the_faults():
    train = load_run_file("config/config.yaml").train
    assert (train.recipe, train.passage_gradient, train.mask_equal_positives) == ("default", "full", True)
