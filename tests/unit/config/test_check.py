import pytest

from f2llm.config.check import check, load_schema, read_yaml, with_defaults
from f2llm.errors import InputError

SCHEMA = load_schema("config")


def faults(**train):
    settings = {"steps": 1, "batch_size": 2, "negatives": 1, "learning_rate": 0.1, "warmup_steps": 0}
    content = {
        "run": "r", "sources": ["a"], "backbone": "b", "retriever": "r", "benchmark": "e",
        "mine": {"max_length": 8, "negatives": 1},
        "tokens": {"query_max_length": 8, "passage_max_length": 8},
        "train": settings | train, "evaluate": {"max_length": 8},
    }  # fmt: skip
    return check(content, schema=SCHEMA, where="config.yaml")


def test_a_right_config_has_no_fault():
    assert faults() == []


def test_a_learning_rate_without_a_decimal_point_is_explained():
    assert faults(learning_rate="1e-5") == [
        "config.yaml: train.learning_rate: '1e-5' is text in YAML, not a number; write a decimal point, as in 1.0e-05"
    ]


def test_an_unknown_key_is_named_with_the_known_ones():
    (fault,) = faults(learning_rte=0.1)
    assert fault.startswith(
        "config.yaml: train: unknown key 'learning_rte'; the keys here are: activations_mb, batch_size"
    )


def test_a_wrong_type_is_named():
    assert "train.steps" in faults(steps="many")[0]
    assert "train.steps" in faults(steps=0)[0]


def test_all_faults_come_at_once():
    assert len(faults(steps=0, learning_rate="1e-5", precision="float8", nonsense=1)) == 4


def test_defaults_fill_nested_sections():
    filled = with_defaults({"run": "r"}, SCHEMA)
    assert filled["curate"]["near"]["threshold"] == 0.8
    assert filled["seed"] == 0


def test_a_file_that_is_not_yaml_is_named_with_its_line(tmp_path):
    (tmp_path / "c.yaml").write_text("a: [1\nb: 2\n")
    with pytest.raises(InputError, match=r"c\.yaml: not valid YAML.*line 2"):
        read_yaml(tmp_path / "c.yaml")
