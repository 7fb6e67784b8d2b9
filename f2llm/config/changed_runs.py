"""The runs that `ablate` of a config asks for, each checked like a config that stands alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from f2llm.config.ablations import MAY_CHANGE, PLACE, Change, changed_config
from f2llm.config.load import load_run
from f2llm.config.run import Run
from f2llm.config.stanzas import Stanzas
from f2llm.records.errors import InputError


def load_changed_runs(
    run: Run, content: Mapping[str, Any], *, folder: str | Path, where: str, taken: Sequence[str] = ()
) -> tuple[Run, ...]:
    """One run for each change of `run.ablate`, in that order.

    `content` is the parsed config of `run`, `folder` and `where` are those it was loaded with; `taken` are the names
    of all models that are scored beside each other, which no changed run may have.

    Raises:
        InputError: every fault of all changes, in one go.
    """
    stanzas, faults, changed = Stanzas(folder), _name_faults(run, where=where, taken=taken), []
    for change in run.ablate:
        place = f"{where}: ablate: {change.name}"
        key_faults = _key_faults(change, where=place)
        faults += key_faults
        try:
            changed_run = load_run(changed_config(content, change), folder=folder, where=place, stanzas=stanzas)
        except InputError as error:
            faults += error.faults
            continue
        changed.append(changed_run)
        if not key_faults and changed_run == replace(run, run=changed_run.run, ablate=(), audit={}, compare=()):
            faults.append(f"{place}: this changes nothing of {run.run!r}; take it out, or change something")
    if faults:
        raise InputError(list(dict.fromkeys(faults)))
    return tuple(changed)


def _name_faults(run: Run, *, where: str, taken: Sequence[str]) -> list[str]:
    # Cut vectors of a run are scored under its name and their size.
    cuts = ["", *(f"-{size}d" for size in run.evaluate.dimensions)]
    names = Counter([*taken, *(f"{run.run}-{change.name}{cut}" for change in run.ablate for cut in cuts)])
    return [
        f"{where}: ablate: {name!r} would be the name of two scored models; give the change another name"
        for name, count in names.items()
        if count > 1
    ]


def _key_faults(change: Change, *, where: str) -> list[str]:
    train = change.set.get("train")
    elsewhere = [key for key in PLACE if isinstance(train, Mapping) and key in train]
    return [
        f"{where}: set.{key}: runs of an ablation may differ in {', '.join(MAY_CHANGE)} only; make another config of it"
        for key in change.set
        if key not in MAY_CHANGE
    ] + [
        f"{where}: set.train.{key}: says where a training runs, which is the same for all runs; change it in the config"
        for key in elsewhere
    ]
