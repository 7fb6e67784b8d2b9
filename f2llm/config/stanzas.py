"""Stanzas of the config folder, read by name."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from f2llm.config.benchmarks import Benchmark
from f2llm.config.build import build
from f2llm.config.check import check, load_schema, read_yaml, with_defaults
from f2llm.config.mteb_tasks import with_mteb

Stanza = TypeVar("Stanza")


class Stanzas:
    """The stanzas of a folder, each read and checked once, however many runs name it."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._schemas = {kind: load_schema(kind.removesuffix("s")) for kind in ("sources", "models", "benchmarks")}
        self._read: dict[tuple[str, str], tuple[Any, list[str]]] = {}

    def noting(self, faults: list[str]) -> Callable[..., Any]:
        """Return a function that returns one stanza, or notes its faults and returns None."""

        def stanza(kind: str, name: object, record: type[Stanza]) -> Stanza | None:
            if not isinstance(name, str):
                return None  # the config's own schema has said so
            if (kind, name) not in self._read:
                self._read[kind, name] = self._stanza(kind, name, record)
            found, own = self._read[kind, name]
            faults.extend(own)
            return found

        return stanza

    def _stanza(self, kind: str, name: str, record: type[Stanza]) -> tuple[Stanza | None, list[str]]:
        path = self._folder / kind / f"{name}.yaml"
        if not path.is_file():
            near = difflib.get_close_matches(name, [file.stem for file in path.parent.glob("*.yaml")], n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"add {path}"
            return None, [f"{path}: there is no such stanza ({kind}: {name!r}); {advice}"]
        content = read_yaml(path)
        found = check(content, schema=self._schemas[kind], where=str(path))
        if not found and content["name"] != name:
            found = [f"{path}: name is {content['name']!r}; it must equal the file name {name!r}"]
        filled = None if found else with_defaults(content, self._schemas[kind])
        if filled and record is Benchmark:
            filled, found = with_mteb(filled, where=str(path))
        return None if found else build(record, filled), found
