"""Mappings checked by a schema -> frozen dataclasses, and back to plain JSON."""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from types import UnionType
from typing import Any, TypeVar

Record = TypeVar("Record")
DIGITS = 8


def build(kind: type[Record], content: Mapping[str, Any]) -> Record:
    """The dataclass `kind` filled from `content`, nested dataclasses, tuples and mappings included.

    `content` must have passed the schema: keys and types are taken as right.
    """
    hints = typing.get_type_hints(kind)
    return kind(**{key: _value(hints[key], value) for key, value in content.items()})


def plain(record: Any) -> Any:  # noqa: ANN401 - the way back to JSON
    """Nested dicts, lists and scalars of a dataclass, fit for JSON and Snakemake params."""
    if dataclasses.is_dataclass(record):
        return {field.name: plain(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, tuple | list):
        return [plain(item) for item in record]
    if isinstance(record, Mapping):
        return {key: plain(value) for key, value in record.items()}
    return record


def part(record: object, kind: type) -> dict[str, Any]:
    """The fields of the dataclass `kind` out of a larger record, as plain JSON.

    A job is given the part of a stanza that it reads, so that a change of the rest re-runs nothing.
    """
    return {field.name: plain(getattr(record, field.name)) for field in dataclasses.fields(kind)}


def merged(content: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`content` with the keys of `more`, mappings within mappings likewise."""
    inner = {
        key: merged(content[key], value)
        if isinstance(value, Mapping) and isinstance(content.get(key), Mapping)
        else value
        for key, value in more.items()
    }
    return {**content, **inner}


def _value(hint: Any, value: Any) -> Any:  # noqa: ANN401 - type hints are values here
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return value if dataclasses.is_dataclass(value) else build(hint, value)
    if origin is tuple:
        return tuple(_value(arguments[0], item) for item in value)
    if origin is dict:
        return {key: _value(arguments[1], item) for key, item in value.items()}
    if origin in (UnionType, typing.Union):
        inner = next(argument for argument in arguments if argument is not type(None))
        return None if value is None else _value(inner, value)
    return float(value) if hint is float else value


def digest(content: Any) -> str:  # noqa: ANN401 - anything that JSON can hold
    """8 hex digits of the sha256 of the canonical JSON of `content`."""
    text = json.dumps(plain(content), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
