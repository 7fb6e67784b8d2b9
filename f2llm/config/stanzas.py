"""Stanzas of the config folder, read by name."""

import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from f2llm.config.benchmarks import Benchmark, Task
from f2llm.config.build import build
from f2llm.config.check import check, load_schema, with_defaults
from f2llm.config.models import Model
from f2llm.config.mteb_tasks import with_mteb
from f2llm.config.sources import Source
from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml

Stanza = TypeVar("Stanza", Source, Model, Benchmark, Task)
KINDS = {Source: "source", Model: "model", Benchmark: "benchmark"}


class NamedStanzas(NamedTuple):
    """The stanzas that a config names, in its order; None for each with faults."""

    sources: list[Source | None]
    heldout: list[Source | None]  # that tasks are drawn from and nothing is trained on
    released: dict[str, Source | None]  # source -> the published tuples that its own are compared with
    backbone: Model | None
    retriever: Model | None
    scored: list[Model | None]
    benchmark: Benchmark | None


def filled(record: type[Stanza], /, **content: Any) -> Stanza:  # noqa: ANN401 - what a schema has checked
    """A source, model, benchmark or task of `content`, which its schema accepts; absent keys have their defaults."""
    return build(record, with_defaults(content, _schema_of(record)))


def read_stanza(record: type[Stanza], path: Path) -> tuple[Stanza | None, list[str]]:
    """The stanza in the file `path`, and no fault; or None and its faults."""
    try:
        content = read_yaml(path)
    except InputError as error:
        return None, list(error.faults)
    faults = check(content, schema=_schema_of(record), where=str(path))
    if not faults and content["name"] != path.stem:
        faults = [f"{path}: name is {content['name']!r}; it must equal the file name {path.stem!r}"]
    if not faults and record is Benchmark:
        content, faults = with_mteb(with_defaults(content, _schema_of(record)), where=str(path))
    return None if faults else filled(record, **content), faults


class Stanzas:
    """The stanzas of a folder, each read and checked once, however many runs name it."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._checked = functools.cache(self._check)

    def read(self, record: type[Stanza], name: str | None, *, faults: list[str]) -> Stanza | None:
        """The stanza `name`, or None and its faults added to `faults`; None without a name."""
        if name is None:
            return None
        stanza, stanza_faults = self._checked(record, name)
        faults.extend(stanza_faults)
        return stanza

    def _check(self, record: type[Stanza], name: str) -> tuple[Stanza | None, list[str]]:
        kind = f"{KINDS[record]}s"
        path = self._folder / kind / f"{name}.yaml"
        if not path.is_file():
            near = difflib.get_close_matches(name, [file.stem for file in path.parent.glob("*.yaml")], n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"add {path}"
            return None, [f"{path}: there is no such stanza ({kind}: {name!r}); {advice}"]
        return read_stanza(record, path)


def _schema_of(record: type[Stanza]) -> Mapping[str, Any]:
    return load_schema("benchmark")["properties"]["tasks"]["items"] if record is Task else load_schema(KINDS[record])
