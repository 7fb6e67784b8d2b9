"""What a user may write, key by key, in one list: a changed key, bound or default is seen in its diff.

Where a change is meant: `python tests/unit/config/test_keys.py > tests/unit/config/keys.txt`.
"""

import json
from pathlib import Path

from f2llm.config.check import load_schema

SCHEMAS = ("config", "source", "model", "benchmark", "exclude")
IN_WORDS = ("$schema", "title", "description")
BOUNDS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "minItems", "maxItems", "minProperties",
    "pattern", "format", "propertyNames", "dependentRequired", "not",
}  # fmt: skip
SHAPE = {"type", "enum", "default", "required", "properties", "items", "additionalProperties", "oneOf", "allOf"}


def test_the_keys_their_types_bounds_and_defaults_are_those_of_the_list():
    assert key_lines() == Path(__file__).with_name("keys.txt").read_text().splitlines()


def key_lines():
    return [line for name in SCHEMAS for line in _lines(load_schema(name), name, needed=True)]


def _lines(schema, place, *, needed):
    """A key that may be left out has a question mark; `[]` stands for an item, `*` for any name."""
    unknown = set(schema) - BOUNDS - SHAPE - set(IN_WORDS)
    assert not unknown, f"{place}: {unknown} is no keyword of a schema"
    facts = [_kind(schema), *(f"{key} {json.dumps(schema[key])}" for key in schema if key in BOUNDS)]
    facts += [f"default {json.dumps(schema['default'])}"] if "default" in schema else []
    facts += [f"if {json.dumps(schema['allOf'])}"] if "allOf" in schema else []
    yield f"{place}{'' if needed else '?'}: {', '.join(facts)}"
    required = schema.get("required", ())
    for key, inner in schema.get("properties", {}).items():
        yield from _lines(inner, f"{place}.{key}", needed=key in required)
    parts = [(f"{place}[]", schema.get("items")), (f"{place}.*", schema.get("additionalProperties"))]
    parts += [(place, choice) for choice in schema.get("oneOf", ())]
    for inner_place, inner in parts:
        if inner:
            yield from _lines(inner, inner_place, needed=True)


def _kind(schema):
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    if "type" not in schema:
        return "one of"
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    free = "object" in kinds and schema.get("additionalProperties") is not False
    return " | ".join(kinds) + (" of any keys" if free else "")


if __name__ == "__main__":
    print("\n".join(key_lines()))
