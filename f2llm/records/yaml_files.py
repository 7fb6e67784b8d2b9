"""YAML files that people write: what YAML would pass over in silence, or read as something else, is a fault."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from f2llm.records.errors import InputError

# The same safe loader in C, five times as fast: a run reads a hundred files whenever it is planned.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TEXT, DATE, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "timestamp", "merge"))
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
# Numbers of YAML 1.1 that are not what they look like: octal (010) and in base 60 (1:30).
_IN_DISGUISE = re.compile(r"[-+]?(0[0-7_]*[0-7]|[0-9_]+(:[0-5]?[0-9])+(\.[0-9_]*)?)")
_NUMBER_AS_TEXT = re.compile(r"(?P<sign>[+-]?)(?P<digits>\d+|\d*\.\d+|\d+\.)[eE](?P<power>[+-]?\d+)")


def read_yaml(path: str | Path) -> Any:  # noqa: ANN401 - the YAML border
    """The content of a YAML file (safe loader).

    Raises:
        InputError: no such file, or every fault of it: not YAML, a key twice, a key that is no text, a date, a number
            in octal or base 60; with the lines.
    """
    content, faults = _read(Path(path))
    if faults:
        raise InputError(faults)
    return content


def yaml_faults(path: str | Path) -> list[str]:
    """Every fault for which `read_yaml` would refuse a file, one line each."""
    return _read(Path(path))[1]


def unread_number(text: str) -> str | None:
    """The spelling in which YAML reads `text` as a number, where it is one that YAML reads as text: 1e-5, 1.0e5."""
    number = _NUMBER_AS_TEXT.fullmatch(text)
    if number is None:
        return None
    whole, _, part = number["digits"].partition(".")
    return f"{number['sign']}{whole or 0}.{part or 0}e{int(number['power']):+03d}"


def value_of_text(text: str) -> Any:  # noqa: ANN401 - the YAML border
    """The number, truth value or nothing that YAML reads in `text`; else `text` itself."""
    try:
        value = yaml.load(text, Loader=LOADER)
    except (yaml.YAMLError, ValueError):
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _read(path: Path) -> tuple[Any, list[str]]:
    """Content of a file without faults, or its faults."""
    try:
        loader = LOADER(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, [f"{path}: no such file; check the name against the files of that folder"]
    except UnicodeDecodeError:
        return None, [f"{path}: not UTF-8; save it in that encoding"]
    except yaml.YAMLError as error:
        return None, [_not_yaml(path, error)]
    try:
        node = loader.get_single_node()
        # Before anything is constructed: that drops keys that stand twice, and merges `<<` into its mapping.
        faults = [f"{path}: {fault}" for fault in _faults(node, place="", seen=set())]
        return (None if faults or node is None else loader.construct_document(node)), faults
    except (yaml.YAMLError, ValueError) as error:
        return None, [_not_yaml(path, error)]
    finally:
        loader.dispose()


def _not_yaml(path: Path, error: Exception) -> str:
    return f"{path}: not valid YAML: {' '.join(str(error).split())}; mend that line"


def _faults(node: yaml.Node | None, *, place: str, seen: set[int]) -> Iterator[str]:
    """The faults of a node and all within it; what an anchor repeats is looked at once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield from _scalar_faults(node, place)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _faults(item, place=f"{place}.{number}".strip("."), seen=seen)
    else:
        lines: dict[str, int] = {}  # key -> where it stands first
        for key, value in node.value:
            name = f"{place}.{key.value}".strip(".") if isinstance(key, yaml.ScalarNode) else place
            if key.tag != MERGE:
                yield from _key_faults(key, name, lines)
            yield from _faults(value, place=name, seen=seen)


def _key_faults(key: yaml.Node, name: str, lines: dict[str, int]) -> Iterator[str]:
    line = key.start_mark.line + 1
    if key.tag != TEXT:
        said = key.value if isinstance(key, yaml.ScalarNode) and key.value else "nothing"
        yield f"line {line}: {name or 'top level'}: the key {said} is not read as text; put it in quotation marks"
    elif key.value in lines:
        yield f"line {line}: {name}: stands here a second time, first in line {lines[key.value]}; keep one of the two"
    else:
        lines[key.value] = line


def _scalar_faults(node: yaml.ScalarNode, place: str) -> Iterator[str]:
    where = f"line {node.start_mark.line + 1}: {place or 'top level'}"
    if node.tag == DATE:
        yield f"{where}: {node.value} is read as a date; put it in quotation marks"
    elif node.tag in NUMBERS and _IN_DISGUISE.fullmatch(node.value):
        yield (
            f"{where}: {node.value} is read as the number {yaml.load(node.value, Loader=LOADER)}; write that number, "
            "or put it in quotation marks if it is a text"
        )
