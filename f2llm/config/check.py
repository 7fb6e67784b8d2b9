"""YAML read and checked against a JSON schema: all faults at once, defaults filled in."""

import functools
import math
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from f2llm.errors import InputError

SCHEMAS = Path(__file__).parents[2] / "workflow" / "schemas"
# The same safe loader in C, five times as fast: a run reads a hundred files whenever it is planned.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LOOKS_LIKE_A_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def read_yaml(path: str | Path) -> Any:  # noqa: ANN401 - the YAML border
    """Read a YAML file (safe loader).

    Raises:
        InputError: no such file, or not YAML; with line and column.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=LOADER)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the name against the files of that folder") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}; mend that line") from error


@functools.cache
def load_schema(name: str) -> Mapping[str, Any]:
    """Return workflow/schemas/{name}.schema.yaml, read once: a config and all its changed runs are checked with it."""
    return read_yaml(SCHEMAS / f"{name}.schema.yaml")


def check(content: Any, *, schema: Mapping[str, Any], where: str) -> list[str]:  # noqa: ANN401
    """Return all faults of `content`, one line each: "file: key: what; what to do"."""
    found = Draft202012Validator(schema, format_checker=_formats()).iter_errors(content)
    errors = sorted(found, key=lambda error: list(map(str, error.absolute_path)))
    faults = [f"{where}: {line}" for error in errors for line in _explain(error)]
    return faults + [
        f"{where}: {at}: {number} is no finite number; write another" for at, number in _not_finite(content)
    ]


def with_defaults(content: Any, schema: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a copy of `content` in which absent keys have the schema's defaults, recursively."""
    if "object" in schema.get("type", ()) and isinstance(content, Mapping):
        filled = dict(content)
        for key, inner in schema.get("properties", {}).items():
            if key not in filled and "default" in inner:
                filled[key] = deepcopy(inner["default"])
            if key in filled:
                filled[key] = with_defaults(filled[key], inner)
        return filled
    if schema.get("type") == "array" and isinstance(content, list):
        return [with_defaults(item, schema.get("items", {})) for item in content]
    return content


def _not_finite(content: Any, at: str = "") -> Iterator[tuple[str, float]]:  # noqa: ANN401
    """Yield the place of each infinity and NaN: a schema's bounds let them through."""
    if isinstance(content, float) and not math.isfinite(content):
        yield at, content
    inner = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from _not_finite(value, f"{at}.{key}" if at else str(key))


def _formats() -> FormatChecker:
    """Return the formats that our schemas name: `spdx`, an expression of known licence ids."""
    formats = FormatChecker(formats=())

    @formats.checks("spdx", raises=InvalidLicenseExpression)
    def spdx(value: object) -> bool:
        return not isinstance(value, str) or not value or bool(canonicalize_license_expression(value))

    return formats


def _explain(error: ValidationError) -> Iterator[str]:
    at = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties":
        known = ", ".join(sorted(error.schema.get("properties", {})))
        for key in sorted(set(error.instance) - set(error.schema.get("properties", {}))):
            yield f"{at}: unknown key {key!r}; the keys here are: {known}"
    elif error.validator == "required":
        for key in error.schema["required"]:
            if key not in error.instance:
                yield f"{at}: key {key!r} is missing; add it"
    elif (
        error.validator == "type" and isinstance(error.instance, str) and _LOOKS_LIKE_A_NUMBER.fullmatch(error.instance)
    ):
        yield (
            f"{at}: {error.instance!r} is text in YAML, not a number; "
            f"write a decimal point, as in {float(error.instance):.1e}"
        )
    elif error.validator == "format":
        yield f"{at}: {error.instance!r} is no licence that SPDX lists; write {error.schema['description']}"
    elif error.validator == "enum":
        known = ", ".join(map(repr, error.validator_value))
        yield f"{at}: {error.instance!r} is not one of {known}; choose one of these"
    else:
        hint = error.schema.get("description", "see the schema")
        yield f"{at}: {error.message}; {hint}"
