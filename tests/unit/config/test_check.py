import pytest

from f2llm.config.check import accepted, check, load_schema, read_schema, texts_as_values, with_defaults
from f2llm.records.errors import InputError

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


def test_keys_that_are_missing_are_named_once_each():
    assert check({"kind": "http"}, schema=load_schema("fetch"), where="x") == [
        "x: top level: key 'url' is missing; add it"
    ]
    assert [fault.split("'")[1] for fault in check({"run": "r"}, schema=SCHEMA, where="x")] == [
        "sources", "backbone", "retriever", "benchmark", "mine", "tokens", "train", "evaluate",
    ]  # fmt: skip


def test_a_fault_within_one_of_two_forms_is_named_where_it_is():
    content = {"ablate": [{"name": "x"}, {"set": {"seed": 1}, "nme": "y"}]}
    assert [fault for fault in check(content, schema=SCHEMA, where="x") if "ablate" in fault] == [
        "x: ablate.0: key 'set' is missing; add it",
        "x: ablate.1: unknown key 'nme'; the keys here are: name, set",
        "x: ablate.1: key 'name' is missing; add it",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (False, "run: false is a truth value, as YAML reads no, off and false; put the text in quotation marks"),
        (1.1, "run: 1.1 is a number; put the text in quotation marks, just as it is meant"),
        (None, "run: null is nothing, as YAML reads null, ~ and no value; write a text, in quotation marks"),
    ],
)
def test_what_yaml_has_made_of_a_text_is_explained(value, said):
    assert f"x: {said}" in check({"run": value}, schema=SCHEMA, where="x")


def test_a_truth_value_in_the_place_of_a_word_is_explained():
    near = {"curate": {"near": {"policy": False}}}
    assert (
        "x: curate.near.policy: false is a truth value, as YAML reads no, off and false; put the text in quotation marks"
        in (check(near, schema=SCHEMA, where="x"))
    )


def test_texts_of_the_command_line_are_read_as_what_the_schema_wants():
    given = {
        "run": "7", "train": {"steps": "3", "learning_rate": "0.5", "lora": "null", "precision": "float32", "epochs": "x"},
        "evaluate": {"dimensions": ["8", "16"]}, "ablate": [{"name": "1", "set": {"train": {"steps": "2"}}}],
    }  # fmt: skip
    content = {**given, "mine": {"negatives": "3"}, "train": {**given["train"], "batch_size": "4"}}
    assert texts_as_values(content, given, SCHEMA) == {
        "run": "7", "evaluate": {"dimensions": [8, 16]}, "ablate": [{"name": "1", "set": {"train": {"steps": 2}}}],
        "train": {"steps": 3, "learning_rate": 0.5, "lora": None, "precision": "float32", "epochs": "x", "batch_size": "4"},
        "mine": {"negatives": "3"},
    }  # fmt: skip


def write_schemas(folder, **schemas):
    for name, content in schemas.items():
        (folder / f"{name}.schema.yaml").write_text(content)
    return folder / "a.schema.yaml"


def test_a_schema_is_joined_with_the_files_that_it_refers_to_and_keys_beside_a_reference_are_added(tmp_path):
    part = "type: object\nproperties:\n  n:\n    type: integer\n"
    path = write_schemas(
        tmp_path, a="items:\n  $ref: b.schema.yaml\n  default: {}\n  properties:\n    n:\n      default: 3\n", b=part
    )
    assert read_schema(path, folder=tmp_path) == {
        "items": {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}, "default": {}}
    }


@pytest.mark.parametrize("reference", ["../b.schema.yaml", "/etc/hostname", "http://example.org/b.yaml"])
def test_a_schema_refers_to_files_of_its_folder_only(tmp_path, reference):
    folder = tmp_path / "schemas"
    folder.mkdir()
    write_schemas(tmp_path, b="type: object\n")
    path = write_schemas(folder, a=f"items:\n  $ref: {reference}\n")
    with pytest.raises(InputError, match="leads out of|no such file"):
        read_schema(path, folder=folder)


def test_values_that_a_schema_refuses_are_left_out_and_those_beside_them_stay():
    train = {"steps": "many", "batch_size": 2, "unknown": 1, "losses": [{"term": "no", "weight": 1.0}, 7]}
    content = {"run": "r", "sources": ["a", 1], "train": train, "tokens": None}
    assert accepted(content, SCHEMA) == {
        "run": "r", "sources": ["a", None],
        "train": {"batch_size": 2, "unknown": 1, "losses": [{"weight": 1.0}, None]},
    }  # fmt: skip
