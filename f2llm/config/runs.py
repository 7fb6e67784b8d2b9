"""The runs of one workflow: which of them a job works for, and the files and settings that follow from it.

A config names one run, `ablate` adds runs that differ from it in one thing each. They are jobs of the same rules: the
variant keys in a job's paths say which runs share it. Nothing here knows the engine: wildcards are any mapping.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from f2llm.config.build import part, plain
from f2llm.config.models import Model
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.config.variants import keys_of

# What the paths of a job say: `{"source": "msmarco", "curation": "mteb-0a1b2c3d"}` and the like.
Wildcards = Mapping[str, str]


class Runs:
    """All runs of a workflow by name. The first is the config's own: it makes what the others share with it."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.by_name = {run.run: run for run in runs}
        self.first = next(iter(self.by_name.values()))
        # Name of a run -> what stands for each wildcard in its paths.
        self.keys: dict[str, dict[str, str]] = {
            name: keys_of(run)._asdict() | {"run": name, "backbone": run.backbone.name, "retriever": run.retriever.name}
            for name, run in self.by_name.items()
        }
        self._source_names = {name: {source.name for source in run.stanzas} for name, run in self.by_name.items()}
        self._first_with = functools.cache(self._find)  # several thousand jobs ask, each for many of its settings

    @property
    def sources(self) -> dict[str, Source]:
        """Sources of all runs that are trained or scored on, by name."""
        runs = self.by_name.values()
        return {source.name: source for run in runs for source in (*run.sources, *run.heldout_sources)}

    @property
    def stanzas(self) -> dict[str, Source]:
        """The same, and published tuples that sources are compared with."""
        return {source.name: source for run in self.by_name.values() for source in run.stanzas}

    @property
    def models(self) -> dict[str, Model]:
        """Models of all runs by name, with those that are scored beside the first one."""
        pairs = [model for run in self.by_name.values() for model in (run.backbone, run.retriever)]
        return {model.name: model for model in (*pairs[:2], *self.first.scored_models, *pairs[2:])}

    def in_use(self, key: str) -> list[str]:
        """All that stands for a wildcard in the paths of the runs."""
        return sorted({keys[key] for keys in self.keys.values()})

    def of(self, wildcards: Wildcards) -> Run:
        """The first run that has what a job makes: what runs share is the same for all of them.

        Raises:
            LookupError: no run has it.
        """
        return self._first_with(frozenset(wildcards.items()))

    def _find(self, job: frozenset[tuple[str, str]]) -> Run:
        given = dict(job)
        for name, run in self.by_name.items():
            has_keys = all(given.get(key, value) == value for key, value in self.keys[name].items())
            if has_keys and ("source" not in given or given["source"] in self._source_names[name]):
                return run
        raise LookupError(f"no run has {', '.join(f'{key} {value}' for key, value in sorted(given.items()))}")

    def setting(self, name: str, *, part_of: type | None = None) -> Any:  # noqa: ANN401 - a value, or a function
        """A setting of a job's run, such as `mine.max_length`, as plain JSON; only the fields of `part_of`, if given.

        It is a function of the job's wildcards; where all runs agree, the value itself, which costs nothing a job. Text
        stays a function all the same: an engine would fill its own wildcards into a prompt's `{instruction}`.
        """
        settings = {run: attrgetter(name)(self.by_name[run]) for run in self.by_name}
        values = {run: part(value, part_of) if part_of else plain(value) for run, value in settings.items()}
        (first, *others) = values.values()
        if not isinstance(first, str | list) and all(other == first for other in others):
            return first

        def value_of_run(wildcards: Wildcards) -> Any:  # noqa: ANN401 - a value of the config
            return values[self.of(wildcards).run]

        return value_of_run

    def upstream(self, path: str) -> str | Callable[[Wildcards], str]:
        """A file that a job reads: the keys of its run are filled into `path`, then its other wildcards.

        Where all runs have the same keys this is the path itself, with the other wildcards left in it.
        """
        filled = {path.format_map(_Filled(keys)) for keys in self.keys.values()}
        if len(filled) == 1:
            return filled.pop()

        def file_of_run(wildcards: Wildcards) -> str:
            return path.format_map(self.keys[self.of(wildcards).run] | dict(wildcards.items()))

        return file_of_run

    def of_each_source(self, *paths: str) -> Callable[[Wildcards], list[str]]:
        """Files of all sources that a job's run is trained on, source by source in the config's order."""

        def files_of_run(wildcards: Wildcards) -> list[str]:
            run = self.of(wildcards)
            keys = self.keys[run.run]
            return [path.format(source=source.name, **keys) for source in run.sources for path in paths]

        return files_of_run


class _Filled(dict[str, str]):
    """Values for the fields of a path; a field without one is left as it stands."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"
