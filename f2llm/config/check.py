"""Content checked against a JSON schema: all faults at once, defaults filled in."""

import functools
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from f2llm.config.build import merged
from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml, unread_number, value_of_text

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
# Faults of these keywords leave the value usable: a key too many or too few.
_KEYS_ONLY = ("additionalProperties", "required")
FORMATS = FormatChecker(formats=())  # that the schemas name: `spdx`, an expression of known licence ids


@functools.cache
def load_schema(name: str) -> Mapping[str, Any]:
    """The schema workflow/schemas/{name}.schema.yaml, the files that it refers to by `$ref` joined into it.

    Read once: a config and all its changed runs are checked with it.

    Raises:
        InputError: a `$ref` leads to no file, or out of workflow/schemas.
    """
    return read_schema(SCHEMAS / f"{name}.schema.yaml", folder=SCHEMAS)


def read_schema(path: Path, *, folder: Path) -> dict[str, Any]:
    """A schema file with every `$ref` replaced by the file that it names, relative to its own.

    Keys beside a `$ref` are added to what it stands for. Raises InputError where a `$ref` leads out of `folder`.
    """
    return _joined(read_yaml(path), beside=path.parent, folder=folder)


def _joined(schema: Any, *, beside: Path, folder: Path) -> Any:  # noqa: ANN401 - any node of a schema
    if isinstance(schema, list):
        return [_joined(item, beside=beside, folder=folder) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    joined = {key: _joined(value, beside=beside, folder=folder) for key, value in schema.items() if key != "$ref"}
    if "$ref" not in schema:
        return joined
    target = (beside / schema["$ref"]).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InputError(f"{beside}: $ref {schema['$ref']!r} leads out of {folder}; move the file there")
    return merged(read_schema(target, folder=folder), joined)


def check(content: Any, *, schema: Mapping[str, Any], where: str) -> list[str]:  # noqa: ANN401
    """All faults of `content`, one line each: "file: key: what; what to do"."""
    errors = sorted(_errors(content, schema), key=lambda error: list(map(str, error.absolute_path)))
    faults = [line for error in errors for line in _explain(error)]
    faults += [f"{place}: {number} is no finite number; write another" for place, number in _not_finite(content)]
    # Of several keys that are missing, each is an error of its own that lists them all.
    return [f"{where}: {fault}" for fault in dict.fromkeys(faults)]


def accepted(content: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `content` without the values that `schema` refuses; a refused item of a list is None."""
    kept = deepcopy(dict(content))
    places = [error.absolute_path for error in _errors(content, schema) if error.validator not in _KEYS_ONLY]
    for *outer, last in sorted(filter(None, places), key=len, reverse=True):  # what lies deepest goes first
        holder = functools.reduce(operator.getitem, outer, kept)
        if isinstance(holder, list):
            holder[last] = None
        else:
            holder.pop(last, None)
    return kept


def with_defaults(content: Any, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """A copy of `content` in which absent keys have the schema's defaults, recursively."""
    if "object" in schema.get("type", ()) and isinstance(content, Mapping):
        filled = dict(content)
        for key, inner in schema.get("properties", {}).items():
            if key not in filled and "default" in inner:
                filled[key] = deepcopy(inner["default"])
            if key in filled:
                filled[key] = with_defaults(filled[key], inner)
        if any_key := schema.get("additionalProperties"):
            named = schema.get("properties", ())
            filled |= {key: with_defaults(value, any_key) for key, value in filled.items() if key not in named}
        return filled
    if schema.get("type") == "array" and isinstance(content, list):
        return [with_defaults(item, schema.get("items", {})) for item in content]
    return content


def _errors(content: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:  # noqa: ANN401
    return Draft202012Validator(schema, format_checker=FORMATS).iter_errors(content)


def _not_finite(content: Any, place: str = "") -> Iterator[tuple[str, float]]:  # noqa: ANN401
    """Place and value of each infinity and NaN: a schema's bounds let them through."""
    if isinstance(content, float) and not math.isfinite(content):
        yield place, content
    inner = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from _not_finite(value, f"{place}.{key}" if place else str(key))


@FORMATS.checks("spdx", raises=InvalidLicenseExpression)
def _is_spdx(value: object) -> bool:
    return not isinstance(value, str) or not value or bool(canonicalize_license_expression(value))


def _explain(error: ValidationError) -> Iterator[str]:
    """What is wrong and what to do, for one error of the validator; several lines for several keys."""
    place = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties":
        known = ", ".join(sorted(error.schema.get("properties", {})))
        for key in sorted(set(error.instance) - set(error.schema.get("properties", {}))):
            yield f"{place}: unknown key {key!r}; the keys here are: {known}"
    elif error.validator == "required":
        for key in error.schema["required"]:
            if key not in error.instance:
                yield f"{place}: key {key!r} is missing; add it"
    elif error.validator == "type" and isinstance(error.instance, str) and (number := unread_number(error.instance)):
        yield f"{place}: {error.instance!r} is text in YAML, not a number; write a decimal point, as in {number}"
    elif error.validator in ("type", "enum") and _takes_text(error.schema) and (trap := misread(error.instance)):
        yield f"{place}: {trap}"
    elif error.validator == "oneOf" and (branch := _meant_branch(error)):
        for inner in branch:
            yield from _explain(inner)
    elif error.validator == "format":
        yield f"{place}: {error.instance!r} is no licence that SPDX lists; write {error.schema['description']}"
    elif error.validator == "enum":
        known = ", ".join(map(repr, error.validator_value))
        yield f"{place}: {error.instance!r} is not one of {known}; choose one of these"
    else:
        hint = error.schema.get("description", "see the schema")
        yield f"{place}: {error.message}; {hint}"


def misread(value: object) -> str | None:
    """What YAML has made of a text without quotation marks, and the advice to quote it; None for other values."""
    if isinstance(value, bool):
        words = "yes, on and true" if value else "no, off and false"
        return f"{str(value).lower()} is a truth value, as YAML reads {words}; put the text in quotation marks"
    if isinstance(value, int | float):
        return f"{value} is a number; put the text in quotation marks, just as it is meant"
    return (
        "null is nothing, as YAML reads null, ~ and no value; write a text, in quotation marks"
        if value is None
        else None
    )


def texts_as_values(content: Any, given: Any, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON in, JSON out
    """`content` with those texts of `given`, a part of it, read as YAML for which `schema` wants no text.

    The values of `snakemake --config 'train={"steps": 3}'` arrive as texts, that is why.
    """
    if isinstance(content, Mapping) and isinstance(given, Mapping):
        inner = {key: _schema_of_key(key, schema) for key in given if key in content}
        return {**content, **{key: texts_as_values(content[key], given[key], inner[key]) for key in inner}}
    if isinstance(content, list) and content == given:
        items = next((branch["items"] for branch in _branches(schema) if "items" in branch), {})
        return [texts_as_values(item, item, items) for item in content]
    if not isinstance(content, str) or content != given or not schema or _takes(content, schema):
        return content
    value = value_of_text(content)
    return content if isinstance(value, str) or not _takes(value, schema) else value


def _branches(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return schema.get("oneOf", (schema,))


def _schema_of_key(key: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the value of a key; `set` of an ablation holds keys of a config."""
    inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}
    return load_schema("config") if key == "set" and inner else inner


def _takes(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether values of this type may stand where `schema` holds, whatever its bounds."""
    kinds = {key: schema[key] for key in ("type", "enum", "oneOf") if key in schema}
    kinds["oneOf"] = [{key: branch[key] for key in ("type", "enum") if key in branch} for branch in _branches(schema)]
    return Draft202012Validator(kinds).is_valid(value)


def _takes_text(schema: Mapping[str, Any]) -> bool:
    return "string" in schema.get("type", ()) or any(isinstance(value, str) for value in schema.get("enum", ()))


def _meant_branch(error: ValidationError) -> list[ValidationError]:
    """The faults of a value by that one of several schemas whose kind of value it is; none where it is of no kind."""
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    fitting = [
        branch
        for branch in branches.values()
        if not any(inner.validator in ("type", "enum") and not inner.path for inner in branch)
    ]
    return fitting[0] if len(fitting) == 1 else []
