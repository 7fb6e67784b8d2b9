"""Why two runs differ: from an artefact back along both chains of jobs to the first things that are not the same."""

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from f2llm.runs.manifests import Job
from f2llm.runs.settings import flat, shown, unequal, version_changes

# Keys of variants, e.g. `embedded-07a04ed5`: the same artefact of two runs lies below different ones.
VARIANT = re.compile(r"-[0-9a-f]{8}(?=\.json|$)")
SOURCES = "sources"  # key of settings by source, and of lists of their names
# Params that say the name or place of a run or how it is worked on, and decide nothing.
WITHOUT_EFFECT = frozenset("run store processes nodes threads candidates variants backbone_folder reason".split())


class Causes:
    """Compares the jobs of two runs, side 0 and side 1; `names` are the runs' names, which occur in paths."""

    def __init__(self, jobs: tuple[Sequence[Job], Sequence[Job]], *, names: tuple[str, str]) -> None:
        self._names = names
        self._makers = tuple(
            {self.same(name, side): (job, sha256) for job in side_jobs for name, sha256 in job.outputs.items()}
            for side, side_jobs in enumerate(jobs)
        )
        self._alone = _alone(jobs)
        self._known: dict[str, list[str]] = {}

    def same(self, path: str, side: int) -> str:
        """A path without what differs between the runs by name alone: their names and the variant keys."""
        run = self._names[side]
        return "/".join(
            "{run}" if part.removesuffix(".json") == run else VARIANT.sub("", part) for part in path.split("/")
        )

    def differs(self, path: str) -> bool | None:
        """Say whether an artefact, named as `same` names it, differs; None where a run lacks it."""
        before, after = (makers.get(path) for makers in self._makers)
        return None if before is None or after is None else before[1] != after[1]

    def artefacts(self) -> list[str]:
        """All artefacts of both runs, as `same` names them."""
        return sorted({*self._makers[0], *self._makers[1]})

    def of(self, path: str) -> list[str]:
        """The root causes of a difference in an artefact, nearest first, each once."""
        if path in self._known:
            return self._known[path]
        self._known[path] = []  # no chain has a cycle; this bounds a damaged one
        before, after = (makers.get(path) for makers in self._makers)
        if before is not None and after is not None:
            if before[1] != after[1]:
                self._known[path] = list(dict.fromkeys(self._of_jobs(before[0], after[0])))
        elif before is not after:
            self._known[path] = [f"only {self._names[0 if after is None else 1]} has {path}"]
        return self._known[path]

    def _of_jobs(self, before: Job, after: Job) -> Iterator[str]:
        """Yield what a job and its counterpart were given that differs: settings, code, and causes of their inputs."""
        yield from param_differences(before, after, alone=self._alone)
        if before.code != after.code:
            versions = version_changes(before.versions, after.versions)
            yield f"code of {before.rule}" + (f" (or versions: {', '.join(versions)})" if versions else "")
        sides = [
            {self.same(name, side): sha256 for name, sha256 in job.inputs.items()}
            for side, job in enumerate((before, after))
        ]
        for name in unequal(*sides):
            if not name.startswith("results/lineage/"):
                # A file of a source that one run lacks has no cause but that.
                lacking = [self._alone[part] for part in name.split("/") if part in self._alone][:1]
                made = name in self._makers[0] and name in self._makers[1]
                yield from lacking or (self.of(name) if made else [_changed(name, sides, self._names)])


def param_differences(job: Job, other: Job, *, alone: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """List the settings of two jobs that differ, as "rule: key: before -> after".

    `alone` maps sources that one run lacks to what is said in place of all their settings.
    """
    before, after = dict(flat(job.params)), dict(flat(other.params))
    differences = []
    for key in unequal(before, after):
        if {key.split(".")[0], key.split(".")[-1]} & WITHOUT_EFFECT:
            continue
        values = before.get(key), after.get(key)
        explained = [alone[name] for name in _sources_behind(key, values, alone)]
        differences += explained or [f"{job.rule}: {key}: {shown(values[0])} -> {shown(values[1])}"]
    return list(dict.fromkeys(differences))


def _alone(jobs: tuple[Sequence[Job], Sequence[Job]]) -> dict[str, str]:
    """Map each source that only one of two runs was planned of to what is said of it."""
    before, after = (
        {
            source["name"]
            for job in side
            if job.rule == "plan_run"
            for source in job.params.get("settings", {}).get(SOURCES, ())
        }
        for side in jobs
    )
    return {name: f"source {name} is {'left out' if name in before else 'new'}" for name in sorted(before ^ after)}


def _sources_behind(key: str, values: tuple[Any, Any], alone: Mapping[str, str]) -> list[str]:
    """The sources of `alone` that explain a setting's difference: it is one of theirs, or a list of names."""
    owners = [name for name in alone if f".{SOURCES}.{name}." in f".{key}"]
    if owners or key.split(".")[-1] != SOURCES or not all(isinstance(value, list) for value in values):
        return owners
    rest = [[name for name in value if name not in alone] for value in values]
    return [name for name in alone if (name in values[0]) != (name in values[1])] if rest[0] == rest[1] else []


def _changed(name: str, sides: Sequence[Mapping[str, str]], names: Sequence[str]) -> str:
    if name in sides[0] and name in sides[1]:
        return f"{name} changed"
    return f"only {names[0 if name in sides[0] else 1]} read {name}"
