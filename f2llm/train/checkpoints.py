"""Checkpoints that are complete or absent, read only after their hashes were checked.

One folder a step, `step_000010`, below a folder named by the identity of the training, so that other
settings never meet. Written by torch.distributed.checkpoint under another name, then renamed.
Frozen parameters are not in it: they are those of the backbone.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from f2llm.errors import InputError
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.train.settings import differences
from f2llm.train.world import World

ABOUT = "checkpoint.json"
OPTIONS = StateDictOptions(ignore_frozen_params=True, strict=False)
logger = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one training in `folder`; all processes call each method alike."""

    def __init__(self, folder: str | Path, *, identity: Mapping[str, Any], keep: int, world: World) -> None:
        self.folder, self._identity, self._keep, self._world = Path(folder), dict(identity), keep, world

    def save(self, step: int, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Save the state after `step` steps and delete all but the newest; the previous one survives a failure.

        Raises:
            InputError: the state could not be written, most likely for want of disk space.
        """
        aside = self.folder / f".{_name(step)}.part"
        if self._world.first:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        self._world.wait()
        try:
            dcp.save(_state(model, optimiser), checkpoint_id=aside, no_dist=self._world.size == 1)
            if self._world.first:
                self._finish(aside, step)
        except (OSError, CheckpointException) as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise InputError(
                f"{self.folder}: the checkpoint of step {step} could not be written ({_cause(error)}); free some disk "
                "space and run the same command: training goes on from the checkpoint before it"
            ) from error
        self._world.wait()

    def resume(self, model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> int:
        """Load the newest whole checkpoint and return its step, 0 where there is none.

        Raises:
            InputError: a checkpoint is of another training.
        """
        if self._world.first:
            for half in self.folder.glob(".step_*.part"):
                shutil.rmtree(half)
        step = self._world.from_first(self._newest() if self._world.first else None)
        if step:
            state = _state(model, optimiser)
            dcp.load(state, checkpoint_id=self.folder / _name(step), no_dist=self._world.size == 1)
            set_state_dict(
                model, optimiser, model_state_dict=state["model"], optim_state_dict=state["optim"], options=OPTIONS
            )
        return step

    def discard(self) -> None:
        """Delete all checkpoints of this training."""
        if self._world.first:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._world.wait()

    def _newest(self) -> int:
        for step, path in self._whole():
            about = read_json(path / ABOUT)
            other = differences(self._identity, about["identity"])
            if other:
                raise InputError(
                    f"{path}: this checkpoint is of another training, which differs in {', '.join(other)}; "
                    "start afresh with --fresh, or give another --checkpoints folder"
                )
            damaged = [name for name, sha256 in about["files"].items() if not _has_hash(path / name, sha256)]
            if not damaged:
                return step
            logger.warning("%s: %s does not have its recorded hash; passed over", path, ", ".join(damaged))
        return 0

    def _whole(self) -> Iterator[tuple[int, Path]]:
        """Yield the complete checkpoints, newest first."""
        for path in sorted(self.folder.glob("step_*"), reverse=True):
            if (path / ABOUT).is_file():
                yield int(path.name.removeprefix("step_")), path

    def _finish(self, aside: Path, step: int) -> None:
        """Describe the files, give the folder its name, delete old ones."""
        files = {path.name: sha256_file(path) for path in sorted(aside.iterdir())}
        write_json(aside / ABOUT, {"step": step, "identity": self._identity, "files": files})
        final = self.folder / _name(step)
        shutil.rmtree(final, ignore_errors=True)  # a damaged one of the same step
        os.replace(aside, final)
        _fsync(self.folder)
        for _, path in list(self._whole())[self._keep :]:
            shutil.rmtree(path)


def _state(model: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    weights, moments = get_state_dict(model, optimiser, options=OPTIONS)
    return {"model": weights, "optim": moments}


def _name(step: int) -> str:
    return f"step_{step:06d}"


def _has_hash(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256


def _cause(error: Exception) -> str:
    """Return one line of the first failure inside an error of torch's checkpointing."""
    failures = getattr(error, "failures", None)
    inner = next(iter(failures.values()))[0] if failures else error
    return " ".join(str(inner).split())[:200]


def _fsync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
