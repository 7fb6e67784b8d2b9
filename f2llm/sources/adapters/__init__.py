"""Adapters: each turns the files of a source into records. Module and function have the adapter's name.

There is no registry: `adapter: pairs` in a stanza means the function `pairs` of the module
`f2llm/sources/adapters/pairs.py`, and the stanza's `options` are its keyword arguments. An adapter
whose first argument is `rows` gets the rows of the files; the options of their layout
(`f2llm.rows.layout.RowLayout`) are options of its own then. One whose first argument is `files` reads them
itself. What the stanzas ask for is checked against the syntax trees, so nothing is imported before
it is needed.
"""

import ast
import dataclasses
import difflib
import functools
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from f2llm.config.check import misread
from f2llm.records.errors import InputError
from f2llm.rows.archives import RawFile
from f2llm.rows.fields import FieldError
from f2llm.rows.layout import RowLayout
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Record, Skipped

Adapter = Callable[..., Iterator[Record]]
FOLDER = Path(__file__).parent
LAYOUT = tuple(field.name for field in dataclasses.fields(RowLayout))


def adapter_names() -> list[str]:
    """The names of all adapters, sorted."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def reads_rows(adapter: str) -> bool:
    """Whether an adapter gets the rows of the files, and not the files."""
    return _function(adapter).args.args[0].arg == "rows"


class Adapted(Protocol):
    """The part of a source's stanza that names its adapter."""

    name: str
    adapter: str
    options: Mapping[str, Any]


def check_adapters(sources: Iterable[Adapted]) -> list[str]:
    """One line for each source whose adapter does not exist or does not take its options."""
    return [fault for source in sources for fault in _faults(source.name, source.adapter, source.options)]


class Reader:
    """The records that the adapter makes of the files of the source `name`.

    Raises:
        InputError: the adapter does not fit; when it is iterated, that the files are not what it expects.
    """

    def __init__(self, files: Sequence[RawFile], *, name: str, adapter: str, options: Mapping[str, Any]) -> None:
        if faults := _faults(name, adapter, options):
            raise InputError(faults)
        self._files, self._name, self._adapter = files, name, adapter
        layout = {option: value for option, value in options.items() if reads_rows(adapter) and option in LAYOUT}
        self._options = {option: value for option, value in options.items() if option not in layout}
        self._rows = RawRows(files, RowLayout(**layout)) if reads_rows(adapter) else None

    def __iter__(self) -> Iterator[Record]:
        """Yield what the adapter yields."""
        read: Adapter = getattr(importlib.import_module(f"{__name__}.{self._adapter}"), self._adapter)
        try:
            yield from read(self._rows or self._files, **self._options)
        except (InputError, OSError, MemoryError):
            raise
        except Exception as error:
            place = self._rows.place if self._rows else ""
            if isinstance(error, FieldError):
                raise InputError(f"source {self._name}: {place}: {error}") from error
            raise InputError(
                f"source {self._name}: adapter {self._adapter!r} cannot read these files "
                f"({type(error).__name__}: {error}{place and f', at {place}'}); check the stanza's options against the "
                "files"
            ) from error

    def left_out(self) -> Iterator[Skipped]:
        """Yield the rows that never reached the adapter so far, as one record a file and reason."""
        for rows in self._rows.left_out() if self._rows else ():
            yield Skipped(rows.reason, rows.file, rows.row, count=rows.count)


def read_records(files: Sequence[RawFile], *, name: str, adapter: str, options: Mapping[str, Any]) -> Iterator[Record]:
    """Yield the records of the source `name`, and what was left out before the adapter saw it.

    Raises:
        InputError: the adapter does not fit, or the files are not what it expects.
    """
    reader = Reader(files, name=name, adapter=adapter, options=options)
    yield from reader
    yield from reader.left_out()


def _faults(source: str, adapter: str, options: Mapping[str, Any]) -> list[str]:
    where, path = f"source {source}", FOLDER / f"{adapter}.py"
    if not adapter.isidentifier() or adapter.startswith("_") or not path.is_file():
        near = difflib.get_close_matches(adapter, adapter_names(), n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(adapter_names())}"
        return [f"{where}: there is no adapter {adapter!r}; {advice}"]
    needed, known = _keywords(adapter)
    faults = [
        f"{where}: adapter {adapter!r} has no option {name!r}; its options are: {', '.join(known) or 'none'}"
        for name in sorted(set(options) - set(known))
    ]
    faults += [
        f"{where}: adapter {adapter!r} needs the option {name!r}; add it under `options`"
        for name in needed
        if name not in options
    ]
    # What YAML has made of a text without quotation marks fits no row, and would leave rows out without a word.
    return faults + [
        f"{where}: options.{place}: {fault}"
        for name, value in options.items()
        if name in known
        for place, fault in _misread(value, place=name, kinds=_kinds(adapter, name))
    ]


def _misread(value: object, *, place: str, kinds: frozenset[type]) -> Iterator[tuple[str, str]]:
    """Place and fault of each value that is no text, and not of `kinds` either."""
    if isinstance(value, Mapping | list | tuple):
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _misread(inner, place=f"{place}.{key}", kinds=kinds)
    elif type(value) not in kinds and (fault := misread(value)):
        yield place, fault


def _kinds(adapter: str, option: str) -> frozenset[type]:
    """The types besides text that an option takes, by its annotation; `only` also whole numbers for text."""
    if option in LAYOUT and reads_rows(adapter):
        annotation = next(field.type for field in dataclasses.fields(RowLayout) if field.name == option)
        words = set(re.findall(r"\w+", getattr(annotation, "__name__", str(annotation))))
    else:
        argument = next(argument for argument in _function(adapter).args.kwonlyargs if argument.arg == option)
        words = set(re.findall(r"\w+", ast.unparse(argument.annotation) if argument.annotation else ""))
    named = {kind for kind in (bool, int, float) if kind.__name__ in words} | ({int} if option == "only" else set())
    return frozenset(named | ({int} if float in named else set()) | ({type(None)} if "None" in words else set()))


def _keywords(adapter: str) -> tuple[list[str], list[str]]:
    """Required options of an adapter, and all of them."""
    arguments = _function(adapter).args
    names = [argument.arg for argument in arguments.kwonlyargs]
    needed = [name for name, default in zip(names, arguments.kw_defaults, strict=True) if default is None]
    return needed, [*names, *LAYOUT] if reads_rows(adapter) else names


@functools.cache
def _function(adapter: str) -> ast.FunctionDef:
    tree = ast.parse((FOLDER / f"{adapter}.py").read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == adapter)
