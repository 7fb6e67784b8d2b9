"""Checkpoints of a training: complete or absent, and read only after their hashes were checked.

Each is a folder such as `step_000010` below a folder named by the identity of the training, so that trainings of
different settings never mix. torch.distributed.checkpoint writes it under a temporary name, then it is renamed.
Frozen parameters are left out: they are those of the backbone.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.runs.run_file import CHECKPOINT_FILE
from f2llm.train.identity import differences
from f2llm.train.world import World

OPTIONS = StateDictOptions(ignore_frozen_params=True, strict=False)
logger = logging.getLogger(__name__)


class Checkpoints(NamedTuple):
    """The checkpoints of one training in `folder`; all processes call each method alike."""

    folder: Path
    identity: dict[str, Any]
    steps: int
    keep: int
    keep_every: int | None
    world: World

    def save(self, step: int, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Save the state after `step` steps; the checkpoint before it survives a failure.

        Then all checkpoints are deleted but the newest `keep` and those of every `keep_every` steps.

        Raises:
            InputError: the state could not be written, most likely because the disk is full.
        """
        aside = self.folder / f".{_name(step)}.part"
        if self.world.first:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        self.world.wait()
        try:
            dcp.save(_state(model, optimiser), checkpoint_id=aside, no_dist=self.world.size == 1)
            if self.world.first:
                self._finish(aside, step)
        except (OSError, CheckpointException) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise InputError(
                f"{self.folder}: the checkpoint of step {step} could not be written ({_cause(error)}); free some disk "
                "space and run the same command: training goes on from the checkpoint before it"
            ) from error
        self.world.wait()

    def resume(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Load the newest checkpoint that is complete and undamaged; returns its step, 0 if there is none.

        Raises:
            InputError: a checkpoint is of another training.
        """
        if self.world.first:
            for unfinished in self.folder.glob(".step_*.part"):
                shutil.rmtree(unfinished)
        step = self.world.from_first(self._newest() if self.world.first else None)
        if step:
            state = _state(model, optimiser)
            dcp.load(state, checkpoint_id=self.folder / _name(step), no_dist=self.world.size == 1)
            set_state_dict(
                model, optimiser, model_state_dict=state["model"], optim_state_dict=state["optim"], options=OPTIONS
            )
        return step

    def discard(self) -> None:
        """Delete all checkpoints of this training."""
        if self.world.first:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.world.wait()

    def _newest(self) -> int:
        for step, path in self._complete():
            description = _read_description(path)
            if description is None:
                continue
            differing = differences(self.identity, description.identity)
            if differing:
                raise InputError(
                    f"{path}: this checkpoint is of another training, which differs in {', '.join(differing)}; "
                    "start afresh with --fresh, or give another --checkpoints folder"
                )
            damaged = [name for name, sha256 in description.files.items() if not _has_hash(path / name, sha256)]
            if not damaged:
                return step
            logger.warning("%s: %s does not have its recorded hash; passed over", path, ", ".join(damaged))
        return 0

    def _complete(self) -> Iterator[tuple[int, Path]]:
        """The complete checkpoints, newest first."""
        for path in sorted(self.folder.glob("step_*"), reverse=True):
            if (path / CHECKPOINT_FILE).is_file():
                yield int(path.name.removeprefix("step_")), path

    def _finish(self, aside: Path, step: int) -> None:
        """Describe the files, give the folder its final name, delete older checkpoints."""
        files = {path.name: sha256_file(path) for path in sorted(aside.iterdir())}
        write_json(aside / CHECKPOINT_FILE, _Description(step, self.steps, self.identity, files)._asdict())
        final = self.folder / _name(step)
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step
        os.replace(aside, final)
        _fsync(self.folder)
        self.drop(keep=self.keep)

    def drop(self, *, keep: int) -> None:
        """Delete all but the newest `keep` and those of every `keep_every` steps."""
        for old, path in list(self._complete())[keep:]:
            if not self.keep_every or old % self.keep_every:
                shutil.rmtree(path)


class _Description(NamedTuple):
    """The content of a checkpoint's CHECKPOINT_FILE."""

    step: int
    steps: int  # of the whole training
    identity: dict[str, Any]
    files: dict[str, str]  # name -> sha256


def other_trainings(root: Path, *, own: Checkpoints) -> list[tuple[Path, _Description]]:
    """The trainings of other settings that have checkpoints below `root`: their folders, their newest checkpoints."""
    others = []
    for folder in sorted(path for path in root.glob("*") if path.is_dir() and path != own.folder):
        newest_first = sorted(folder.glob(f"step_*/{CHECKPOINT_FILE}"), reverse=True)
        newest = next(filter(None, (_read_description(path.parent) for path in newest_first)), None)
        if newest:
            others.append((folder, newest))
    return others


def refuse_to_abandon(root: Path, *, own: Checkpoints) -> None:
    """Refuse to start at step 0 while an unfinished training of other settings lies below `root`.

    Raises:
        InputError: there is one; says how far it came, and which keys differ.
    """
    faults = [
        f"{folder}: a training stopped here after step {newest.step} of {newest.steps}, and the settings now differ "
        f"from its own in {', '.join(differences(own.identity, newest.identity))}; put them back to go on with it, "
        "give the run another name, or delete the folder"
        for folder, newest in other_trainings(root, own=own)
        if newest.step < newest.steps
    ]
    if faults:
        raise InputError(faults)


def _read_description(path: Path) -> _Description | None:
    """The description of a checkpoint; None, and a warning, where it is damaged."""
    try:
        content = read_json(path / CHECKPOINT_FILE)
    except ValueError:  # no JSON, or no text
        content = None
    if isinstance(content, dict) and content.keys() >= set(_Description._fields):
        return _Description(*(content[name] for name in _Description._fields))
    logger.warning("%s: %s is damaged; passed over", path, CHECKPOINT_FILE)
    return None


def _state(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    weights, moments = get_state_dict(model, optimiser, options=OPTIONS)
    return {"model": weights, "optim": moments}


def _name(step: int) -> str:
    return f"step_{step:06d}"


def _has_hash(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


def _cause(error: Exception) -> str:
    """The first failure inside an error of torch's checkpointing, on one line."""
    failures = getattr(error, "failures", None)
    inner = next(iter(failures.values()))[0] if failures else error
    return " ".join(str(inner).split())[:200]


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
