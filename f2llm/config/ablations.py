"""Runs that differ from one run in one thing each: what `ablate` of its config asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from f2llm.config.build import merged

LEAVE_ONE_OUT = "leave_one_source_out"
# Keys of a config that decide a model: all runs of an ablation are scored alike, so that scores can be compared.
MAY_CHANGE = ("seed", "licences", "sources", "backbone", "retriever", "curate", "mine", "tokens", "train")
# Keys of `train` that say where it runs: the same for all runs, whose trainings are jobs of one rule.
PLACE = ("threads", "processes", "nodes")
# Keys that concern the main run alone.
OF_MAIN_RUN = ("ablate", "audit", "compare")


@dataclass(frozen=True, kw_only=True)
class Change:
    """The name of a run and the keys of the config that have other values in it."""

    name: str
    set: dict[str, Any]


def changes_of(ablate: str | Sequence[Mapping[str, Any]] | None, *, sources: Sequence[str]) -> tuple[Change, ...]:
    """The changes that `ablate` stands for; `sources` are those trained on."""
    if ablate == LEAVE_ONE_OUT:
        return tuple(
            Change(name=f"without-{name}", set={"sources": [other for other in sources if other != name]})
            for name in sources
        )
    return tuple(Change(**change) for change in ablate or ())


def changed_config(config: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The config of a changed run: another name, other values, without the keys for the main run alone."""
    changed = merged(config, {key: value for key, value in change.set.items() if key in MAY_CHANGE})
    return {key: value for key, value in changed.items() if key not in OF_MAIN_RUN} | {"run": _name(config, change)}


def names_of_changed(config: Mapping[str, Any]) -> list[str]:
    """Names of the runs that `ablate` of a config asks for, sources that its licences bar included."""
    return [_name(config, change) for change in changes_of(config.get("ablate"), sources=config["sources"])]


def _name(config: Mapping[str, Any], change: Change) -> str:
    return f"{config['run']}-{change.name}"
