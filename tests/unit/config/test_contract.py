"""The schemas (what a user may write) and the dataclasses (what the library reads) agree."""

import dataclasses
import types
import typing

import pytest

from f2llm.config import (
    benchmarks,
    curate,
    evaluate,
    exclusions,
    fetch,
    mine,
    models,
    run,
    sources,
    tokens,
    train,
)
from f2llm.config.check import load_schema

CONFIG = load_schema("config")["properties"]
PAIRS = [
    (load_schema("source"), sources.Source),
    (load_schema("model"), models.Model),
    (load_schema("benchmark"), benchmarks.Benchmark),
    (load_schema("exclude")["items"], exclusions.Exclusion),
    (CONFIG["audit"]["additionalProperties"], curate.Audit),
    (CONFIG["curate"], curate.Curate),
    (CONFIG["mine"], mine.Mine),
    (CONFIG["tokens"], tokens.Tokens),
    (CONFIG["train"], train.Train),
    (CONFIG["evaluate"], evaluate.Evaluate),
    (CONFIG["energy"], run.Energy),
]
SCALARS = {"string": str, "integer": int, "number": float, "boolean": bool}
# What mteb's registry makes of a task: `mteb` is its data with these keys, `type` may be any of mteb's.
OF_MTEB = {"revision", "splits", "subsets", "files"}
FROM_REGISTRY = {"mteb", "type"}
# Built in code as well, without a schema: the place of an evaluation task.
WITH_DEFAULTS = {fetch.Fetch}


def records_within(schema, record):
    """A schema and its dataclass, then those of its keys that are dataclasses themselves."""
    yield schema, record
    hints = typing.get_type_hints(record)
    for key, inner in schema["properties"].items():
        inner = inner.get("items", inner)
        for kind in (hints.get(key), *typing.get_args(hints.get(key))):
            if dataclasses.is_dataclass(kind) and "properties" in inner:
                yield from records_within(inner, kind)


NESTED = [pair for root in PAIRS for pair in records_within(*root)]
each_record = pytest.mark.parametrize(("schema", "record"), NESTED, ids=lambda value: getattr(value, "__name__", ""))


def kind_of(schema):
    """The type that a schema's value has in a dataclass; an object stands for any."""
    if "enum" in schema:
        values = [value for value in schema["enum"] if value is not None]
        return with_null(typing.Literal[tuple(values)], None in schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    (name,) = [kind for kind in kinds if kind != "null"]
    if name == "array":
        return with_null(("array", kind_of(schema["items"])), "null" in kinds)
    return with_null(SCALARS.get(name, dict), "null" in kinds)


def read_as(hint):
    """A type hint in the same terms: nested dataclasses and mappings are objects."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (inner,) = [argument for argument in arguments if argument is not types.NoneType]
        return with_null(read_as(inner), True)
    if origin is tuple:
        return "array", read_as(arguments[0])
    return dict if origin is dict or dataclasses.is_dataclass(hint) else hint


def with_null(kind, may_be_null):
    return ("or null", kind) if may_be_null else kind


@each_record
def test_schema_and_dataclass_have_the_same_keys(schema, record):
    in_mteb = OF_MTEB if record is benchmarks.Task else set()
    assert set(schema["properties"]) - in_mteb == {field.name for field in dataclasses.fields(record)}
    assert schema["additionalProperties"] is False


@each_record
def test_types_choices_and_nulls_of_the_dataclass_are_those_of_the_schema(schema, record):
    # Keys that only some tasks and exclusions have are None, or empty, where they are absent.
    absent = record in (benchmarks.Task, exclusions.Exclusion)
    hints = typing.get_type_hints(record)
    for key in set(hints) - (FROM_REGISTRY if record is benchmarks.Task else set()):
        schema_key, hint = schema["properties"][key], read_as(hints[key])
        may_be_absent = absent and key not in schema.get("required", ()) and "default" not in schema_key
        kind = kind_of(schema_key)
        assert hint == kind or (may_be_absent and hint == with_null(kind, True)), key


@each_record
def test_a_default_is_stated_by_the_schema_alone(schema, record):
    if record in WITH_DEFAULTS:
        return
    stated = {field.name for field in dataclasses.fields(record) if field.default is not dataclasses.MISSING}
    stated |= {field.name for field in dataclasses.fields(record) if field.default_factory is not dataclasses.MISSING}
    assert not [key for key in stated if "default" in schema["properties"][key]]


@each_record
def test_every_key_that_may_be_absent_has_a_default(schema, record):
    fields = {field.name: field for field in dataclasses.fields(record)}
    for name, key in schema["properties"].items():
        in_dataclass = name in fields and fields[name].default is not dataclasses.MISSING
        of_task = record is benchmarks.Task and name in OF_MTEB | {"name", "type"}
        assert name in schema.get("required", []) or "default" in key or in_dataclass or of_task, name


def test_the_places_of_evaluation_tasks_have_the_defaults_of_a_source():
    keys = load_schema("source")["properties"]["fetch"]["items"]["properties"]
    stated = {field.name: field.default for field in dataclasses.fields(fetch.Fetch) if field.name != "kind"}
    assert stated == {
        key: tuple(inner["default"]) if isinstance(inner["default"], list) else inner["default"]
        for key, inner in keys.items()
        if key != "kind"
    }


def test_the_run_has_the_config_keys_and_what_follows_from_them():
    hints = typing.get_type_hints(run.Run)
    follows = {"heldout_sources", "barred", "scored_models", "trained_datasets"}
    assert set(hints) == set(CONFIG) - {"stanzas"} | follows
    stages = {"curate", "mine", "tokens", "train", "evaluate", "energy"}
    assert {key: hints[key] for key in stages} == {
        "curate": curate.Curate, "mine": mine.Mine, "tokens": tokens.Tokens, "train": train.Train,
        "evaluate": evaluate.Evaluate, "energy": run.Energy,
    }  # fmt: skip
    for key in ("run", "seed", "on_source_error", "licences"):
        assert kind_of(CONFIG[key]) == hints[key], key
