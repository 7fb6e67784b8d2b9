"""From run.json to a model folder: resume, step, save, export."""

import logging
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from f2llm.config.variants import digest
from f2llm.encode.packed import load_packed
from f2llm.encode.precision import resolve_precision
from f2llm.errors import InputError
from f2llm.provenance import code_digest
from f2llm.records.files import sha256_path
from f2llm.train.batches import Batches
from f2llm.train.checkpoints import Checkpoints
from f2llm.train.export import export_model
from f2llm.train.life import STOPPED_LINE, StopRequest
from f2llm.train.metrics import MetricsLog
from f2llm.train.optimiser import make_optimiser
from f2llm.train.settings import RunFile, identity
from f2llm.train.step import Outcome, Trainer
from f2llm.train.world import World, spread

# The code that decides the weights; a change of what only writes them out does not train again.
CODE = ("f2llm/train/step.py", "f2llm/train/batches.py", "f2llm/train/world.py")
SAY_SECONDS = 5.0
FEW_STEPS = 100
logger = logging.getLogger(__name__)


class Paths(NamedTuple):
    """Where a training reads its plan and writes: model folder, metrics table, checkpoints of all settings."""

    plan: Path
    model: Path
    metrics: Path
    checkpoints: Path


def train(run: RunFile, paths: Paths, *, world: World, stop: StopRequest, fresh: bool) -> bool:
    """Train to the last step and export; return False where a stop was asked for and the state is saved.

    Goes on from the newest checkpoint of the same training; `fresh` discards it first. The weights are
    the same, bit for bit, however often a run on the same machine was interrupted.

    Raises:
        InputError: model and data do not fit, the loss is not finite, or the disk is full.
    """
    settings = run.settings.train
    precision = resolve_precision(settings.precision)
    model = _load(run)
    known = world.from_first(_identity(run, precision=precision) if world.first else None)
    checkpoints = Checkpoints(
        paths.checkpoints / digest(known), identity=known, keep=settings.keep_checkpoints, world=world
    )
    if fresh:
        checkpoints.discard()
    spread(model, layers=model.layers, world=world)
    trainer = Trainer(model, make_optimiser(model, settings=settings), world, settings, precision)
    start = checkpoints.resume(model, trainer.optimiser)
    log = MetricsLog(checkpoints.folder / "metrics.jsonl")
    if world.first:
        _clean(paths)
        _say_start(start, settings.steps, checkpoints.folder, precision=precision)
        log.truncate(start)
    batches = Batches(run, plan=paths.plan)
    if not _run_steps(trainer, batches, checkpoints, log, start=start, stop=stop):
        return False
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=world.size > 1))
    if world.first:
        log.write_table(paths.metrics)
        export_model(weights, run=run, identity=known, folder=paths.model)
        _forget(paths.checkpoints, own=checkpoints.folder)
    world.wait()
    return True


def _run_steps(
    trainer: Trainer, batches: Batches, checkpoints: Checkpoints, log: MetricsLog, *, start: int, stop: StopRequest
) -> bool:
    """Run the steps from `start`; return False where a stop was asked for. Saves at every end."""
    settings, world = trainer.settings, trainer.world
    speaker = _Speaker(start=start, steps=settings.steps)
    for step in range(start, settings.steps):
        began, batch = time.monotonic(), batches[step]
        outcome = trainer.step(batch)
        seconds = time.monotonic() - began
        if world.first:
            log.append(_row(step, batch.source, outcome, seconds=seconds))
            speaker.say(step, batch.source, outcome, seconds=seconds)
        stopped = world.any(stop.asked)
        if stopped or (step + 1) % settings.checkpoint_every == 0 or step + 1 == settings.steps:
            checkpoints.save(step + 1, trainer.model, trainer.optimiser)
        if stopped and step + 1 < settings.steps:
            logger.info("%s; step %d is saved, the same command goes on from it", STOPPED_LINE, step + 1)
            return False
    return True


def _load(run: RunFile) -> torch.nn.Module:
    """Return the backbone, ready to train.

    Raises:
        InputError: its layers cannot be found, or texts are longer than it reads.
    """
    model = load_packed(run.backbone_folder)
    if not hasattr(model, "layers"):
        raise InputError(f"{run.backbone_folder}: {type(model).__name__} has no `layers`; use a causal decoder")
    longest = max(run.settings.tokens.query_max_length, run.settings.tokens.passage_max_length)
    most = getattr(model.config, "max_position_embeddings", longest)
    if longest > most:
        raise InputError(
            f"{run.backbone_folder}: texts have up to {longest} tokens, the model reads {most}; lower tokens"
        )
    if run.settings.train.freeze_embeddings:
        model.get_input_embeddings().requires_grad_(False)
    return model


def _identity(run: RunFile, *, precision: str) -> dict[str, Any]:
    return identity(run, backbone_sha256=sha256_path(run.backbone_folder), code=code_digest(*CODE), precision=precision)


def _row(step: int, source: str, outcome: Outcome, *, seconds: float) -> dict[str, Any]:
    return {
        "step": step,
        "source": source,
        "loss": outcome.loss,
        "loss_hard": outcome.hard,
        "loss_in_batch": outcome.in_batch,
        "learning_rate": outcome.learning_rate,
        "gradient_norm": outcome.gradient_norm,
        "tokens": outcome.tokens,
        "seconds": seconds,
        "tokens_per_second": outcome.tokens / max(seconds, 1e-9),
    }


class _Speaker:
    """Says how training goes: every step of a short run, else a line every few seconds; first and last always."""

    def __init__(self, *, start: int, steps: int) -> None:
        self._start, self._steps, self._spoke = start, steps, float("-inf")
        self._seconds = 0.0

    def say(self, step: int, source: str, outcome: Outcome, *, seconds: float) -> None:
        self._seconds += seconds
        now = time.monotonic()
        if self._steps > FEW_STEPS and step + 1 < self._steps and now - self._spoke < SAY_SECONDS:
            return
        self._spoke = now
        terms = [
            f"{name} {value:.4f}"
            for name, value in (("hard", outcome.hard), ("in-batch", outcome.in_batch))
            if value is not None
        ]
        eta = self._seconds / (step + 1 - self._start) * (self._steps - step - 1)
        logger.info(
            "step %d/%d %s: loss %.4f (%s), lr %.2e, gradient norm %.2f, %.0f tokens/s, ETA %.0f s",
            step + 1, self._steps, source, outcome.loss, ", ".join(terms), outcome.learning_rate,
            outcome.gradient_norm, outcome.tokens / max(seconds, 1e-9), eta,
        )  # fmt: skip


def _say_start(start: int, steps: int, folder: Path, *, precision: str) -> None:
    if start:
        logger.info("going on after step %d of %d, saved in %s (%s)", start, steps, folder, precision)
    else:
        logger.info("training %d steps in %s; checkpoints in %s", steps, precision, folder)


def _clean(paths: Paths) -> None:
    """Delete what an export left half-written when it was killed; the lock on the folder makes that safe."""
    for path in (paths.model, paths.metrics):
        for half in path.parent.glob(f".{path.name}.*.part"):
            shutil.rmtree(half) if half.is_dir() else half.unlink()


def _forget(root: Path, *, own: Path) -> None:
    """Delete all but the last checkpoint, which makes exporting again cheap; say what else could go."""
    for path in sorted(own.glob("step_*"))[:-1]:
        shutil.rmtree(path)
    others = sorted(str(path) for path in root.iterdir() if path.is_dir() and path != own)
    if others:
        logger.info("checkpoints of other settings of this run can be deleted: %s", " ".join(others))
