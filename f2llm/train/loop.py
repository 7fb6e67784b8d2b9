"""The training loop, from run.json to a model folder: resume, step, validate, save, export."""

import logging
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from f2llm.config.build import digest
from f2llm.config.geometry import read_geometry
from f2llm.jobs.code import code_digest
from f2llm.models.device import resolve_precision
from f2llm.records.files import clear_asides, sha256_path
from f2llm.runs.run_file import RunFile
from f2llm.train.batches import Batches
from f2llm.train.checkpoints import Checkpoints, other_trainings, refuse_to_abandon
from f2llm.train.export import export_model
from f2llm.train.identity import differences, identity
from f2llm.train.life import STOPPED_LINE, StopRequest
from f2llm.train.memory import find_budget
from f2llm.train.step import Loss, Trainer, make_optimiser
from f2llm.train.trainable import compile_layers, load_backbone, merged
from f2llm.train.watch import TrainingLog, matmul_rate
from f2llm.train.world import World, spread

# Their modules, with all that these import, decide the weights. A change of code that only writes the weights out does
# not train again.
DECIDES_WEIGHTS = (Trainer, Batches, World, load_backbone)
logger = logging.getLogger(__name__)


class TrainingPaths(NamedTuple):
    """Where a training reads its plans, and where it writes."""

    plan: Path
    validation_plan: Path
    model: Path
    metrics: Path
    validation: Path
    checkpoints: Path  # those of one training lie in a folder below it, named by the digest of its identity
    events: Path  # of TensorBoard, likewise


def train(run: RunFile, paths: TrainingPaths, *, world: World, stop: StopRequest, fresh: bool) -> bool:
    """Train to the last step and export. False if a stop was requested before the end; the state is saved then.

    Goes on from the newest checkpoint of the same training; `fresh` deletes its checkpoints first. The weights are
    the same, bit for bit, however often a run on the same machine was interrupted.

    Raises:
        InputError: an unfinished training of other settings would be left behind, model and data do not fit,
            memory is too small, the loss is not finite, the disk is full, or the processes were given different files.
    """
    settings = run.settings.train
    precision = resolve_precision(settings.precision)
    code, backbone_sha256 = code_digest(*DECIDES_WEIGHTS), sha256_path(run.backbone_folder)
    ours = identity(run, backbone_sha256=backbone_sha256, code=code, precision=precision)
    world.agree({key: str(value) for key, value in ours.items()})
    model = load_backbone(run)
    checkpoints = Checkpoints(
        paths.checkpoints / digest(ours), identity=ours, steps=run.steps, keep=settings.keep_checkpoints,
        keep_every=settings.keep_every, world=world,
    )  # fmt: skip
    if fresh:
        checkpoints.discard()
    elif world.first and not checkpoints.folder.is_dir():
        refuse_to_abandon(paths.checkpoints, own=checkpoints)
    spread(model, layers=model.layers, world=world, reshard=settings.reshard_after_forward)
    if settings.compile and world.device.type == "cuda":
        compile_layers(model)
    batches, held_out = Batches(run, plan=paths.plan), Batches(run, plan=paths.validation_plan)
    budget = find_budget(
        model, settings=settings, world=world, precision=precision, longest_sequence=run.longest_sequence
    )
    trainer = Trainer(model, make_optimiser(model, settings=settings), world, settings, precision, run.steps, budget)
    start = checkpoints.resume(model, trainer.optimiser)
    log = _open_log(trainer, run, paths, checkpoints, start=start) if world.first else None
    if not _run_steps(trainer, batches, held_out, checkpoints, log, start=start, stop=stop):
        return False
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=world.size > 1))
    if log:
        log.write_tables(metrics=paths.metrics, validation=paths.validation)
        export_model(merged(weights, settings.lora), run=run, identity=ours, folder=paths.model)
        _drop_checkpoints(paths.checkpoints, own=checkpoints)
    world.wait()
    return True


def _run_steps(
    trainer: Trainer,
    batches: Batches,
    held_out: Batches,
    checkpoints: Checkpoints,
    log: TrainingLog | None,
    *,
    start: int,
    stop: StopRequest,
) -> bool:
    """Run the steps from `start`; False if a stop was requested before the last. The last state is saved either way."""
    settings, world, steps = trainer.settings, trainer.world, trainer.steps
    if start == 0:
        _validate(trainer, held_out, log, step=0)
    for step in range(start, steps):
        began, step_batches = time.monotonic(), batches[step]
        report = trainer.step(step_batches)
        seconds = time.monotonic() - began
        if log:
            sequences = sum(len(batch.sequences) for batch in step_batches)
            log.step(step, report, seconds=seconds, sequences=sequences)
        done = step + 1
        if done % settings.validation.every == 0 or done == steps:
            _validate(trainer, held_out, log, step=done)
        stopped = world.any(stop.asked)
        if stopped or done % settings.checkpoint_every == 0 or done == steps:
            checkpoints.save(done, trainer.model, trainer.optimiser)
        if stopped and done < steps:
            logger.info("%s; step %d is saved, the same command goes on from it", STOPPED_LINE, done)
            return False
    return True


def _validate(trainer: Trainer, held_out: Batches, log: TrainingLog | None, *, step: int) -> None:
    """Evaluate the loss of the held-out tuples, source by source."""
    losses: dict[str, list[tuple[Loss, int]]] = defaultdict(list)
    for number in range(len(held_out)):
        for batch in held_out[number]:
            losses[batch.source].append((trainer.evaluate(batch), len(batch.tuple_ids)))
    if log and losses:
        log.validated(step, losses)


def _open_log(
    trainer: Trainer, run: RunFile, paths: TrainingPaths, checkpoints: Checkpoints, *, start: int
) -> TrainingLog:
    """Clean up after a killed trainer, say what is about to happen, and open the log of the steps from `start`."""
    # The lock on the folder makes it safe to delete what an export left half-written.
    for path in (paths.model, paths.metrics, paths.validation):
        clear_asides(path)
    world, budget, folder = trainer.world, trainer.budget, checkpoints.folder
    if start:
        logger.info("going on after step %d of %d, saved in %s (%s)", start, run.steps, folder, trainer.precision)
    else:
        logger.info("training %d steps in %s; checkpoints in %s", run.steps, trainer.precision, folder)
    logger.info(
        "%d processes on %s; %d tokens a forward pass, activations of %d tokens kept; TensorBoard: %s",
        world.size, world.device.type, budget.tokens_per_chunk, max(budget), paths.events,
    )  # fmt: skip
    return TrainingLog(
        folder,
        paths.events / folder.name,
        start=start,
        steps=run.steps,
        geometry=read_geometry(run.backbone_folder),
        flops_per_second=world.size * matmul_rate(world.device, precision=trainer.precision),
    )


def _drop_checkpoints(root: Path, *, own: Checkpoints) -> None:
    """Delete the checkpoints of a finished training but the last and those to keep; name those of other settings."""
    own.drop(keep=1)  # from the last one a model can be exported again
    for folder, newest in other_trainings(root, own=own):
        differing = ", ".join(differences(own.identity, newest.identity))
        logger.info("%s: checkpoints of other settings (%s); delete them if not needed", folder, differing)
