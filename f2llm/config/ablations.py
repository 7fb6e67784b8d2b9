"""Runs that differ from one run in one thing each: what `ablate` of its config asks for."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

LEAVE_ONE_OUT = "leave_one_source_out"
# What of a config decides a model. All runs of an ablation are scored alike, else their scores could not be compared.
MAY_CHANGE = ("seed", "licences", "sources", "backbone", "retriever", "curate", "mine", "tokens", "train")
# Of `train`, where it runs: the same for all runs, whose trainings are jobs of one rule.
PLACE = ("threads", "processes", "nodes")
# What concerns the run itself alone.
OF_ONE_RUN = ("ablate", "audit", "compare")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A name for a run, and the keys of the config that it has other values of."""

    name: str
    set: dict[str, Any] = field(default_factory=dict)


def changes_of(ablate: str | Sequence[Mapping[str, Any]] | None, *, sources: Sequence[str]) -> tuple[Change, ...]:
    """Return the changes that `ablate` stands for; `sources` are those trained on."""
    if ablate == LEAVE_ONE_OUT:
        return tuple(
            Change(name=f"without-{name}", set={"sources": [other for other in sources if other != name]})
            for name in sources
        )
    return tuple(Change(**one) for one in ablate or ())


def changed_config(config: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """Return the config of the run of a change: another name, other values, nothing for `config` alone."""
    changed = _merged(config, {key: value for key, value in change.set.items() if key in MAY_CHANGE})
    return {key: value for key, value in changed.items() if key not in OF_ONE_RUN} | {"run": _name(config, change)}


def names_of_changed(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the runs that `ablate` of a config asks for, of sources that its licences bar as well."""
    return [_name(config, change) for change in changes_of(config.get("ablate"), sources=config["sources"])]


def _name(config: Mapping[str, Any], change: Change) -> str:
    return f"{config['run']}-{change.name}"


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = deepcopy(dict(one))
    for key, value in other.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else deepcopy(value)
    return merged
