"""Arms taken in turns: speed by round, agreement of losses, gradients and weights, peak memory."""

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import torch

from benchmarks.train.arms import Job, Pass, run_ours, run_upstream_like
from benchmarks.train.host import in_fresh_process, memory_mb
from benchmarks.train.peers import LOSSES, peer_arm
from benchmarks.train.token_batches import TokenBatch
from benchmarks.train.upstream import run_upstream

ARMS: Mapping[str, Callable[[Job], Pass]] = {
    "ours": run_ours,
    "upstream_like": run_upstream_like,
    "upstream": run_upstream,
    **{name: peer_arm(name) for name in LOSSES},
}
SAME_MATHEMATICS = ("upstream_like", "upstream")
LARGEST_LOSS_DIFFERENCE = 1e-6  # relative
logger = logging.getLogger(__name__)


def compare(job: Job, *, arms: Sequence[str], rounds: int) -> dict[str, Any]:
    """Run the arms in turns, `rounds` times; return speed by arm, ratios to `ours`, and seconds by batch."""
    for arm in arms:
        ARMS[arm](job._replace(batches=[min(job.batches, key=lambda batch: batch.padded_tokens)]))  # warm-up
    seconds: dict[str, list[list[float]]] = {arm: [] for arm in arms}
    computed: dict[str, int] = {}
    weights: dict[str, torch.Tensor] = {}
    for number in range(rounds):
        for arm in arms:
            gc.collect()
            found = ARMS[arm](job)
            seconds[arm].append(found.seconds)
            computed[arm] = found.computed_tokens
            if number == 0 and arm in ("ours", *SAME_MATHEMATICS):
                weights[arm] = flat(found.model)
            logger.info("round %d of %d: %s: %.1f CPU seconds", number + 1, rounds, arm, sum(found.seconds))
            del found
    tuples = sum(len(batch.queries) for batch in job.batches)
    useful = sum(batch.useful_tokens for batch in job.batches)
    return {
        "arms": {
            arm: _speed(seconds, arm, tuples=tuples) | {"computed_per_useful": computed[arm] / useful} for arm in arms
        },
        "weights_after_a_round_difference_relative": {
            arm: distance(weights[arm], weights["ours"]) for arm in weights if "ours" in weights and arm != "ours"
        },
        "batches": [_batch(batch, seconds, place) for place, batch in enumerate(job.batches)],
        "useful_tokens": useful,
        "tuples": tuples,
    }


def agreement(job: Job, *, arm: str) -> dict[str, float]:
    """Compare loss and clipped gradient of every batch with those of `ours`, all at the first weights.

    Raises:
        AssertionError: a loss differs by more than LARGEST_LOSS_DIFFERENCE of itself.
    """
    ours, ours_gradients = _still(job, "ours")
    theirs, their_gradients = _still(job, arm)
    differences = [abs(one - other) for one, other in zip(ours, theirs, strict=True)]
    relative = max(difference / abs(loss) for difference, loss in zip(differences, theirs, strict=True))
    gradients = [distance(one, other) for one, other in zip(ours_gradients, their_gradients, strict=True)]
    if relative > LARGEST_LOSS_DIFFERENCE:
        raise AssertionError(f"{arm}: losses differ by {relative:.1e} of themselves")
    return {
        "loss_difference": max(differences),
        "loss_difference_relative": relative,
        "gradient_difference_relative": max(gradients),
    }


def peak_memory(job: Job, *, arm: str) -> dict[str, float]:
    """Return the peak memory of an arm in a process of its own, MB: before and after a step on the longest batch."""
    heaviest = max(job.batches, key=lambda batch: batch.padded_tokens)
    return in_fresh_process(_peak, (job._replace(batches=[heaviest], watch=None), arm))


def distance(one_D: torch.Tensor, other_D: torch.Tensor) -> float:
    """Return the L2 norm of the difference over that of the second."""
    return float((one_D.double() - other_D.double()).norm() / other_D.double().norm())


def flat(model: torch.nn.Module) -> torch.Tensor:
    """Return a copy of all weights, end to end."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def _peak(job: Job, arm: str) -> dict[str, float]:
    """Take a step on four tokens a sequence, which brings imports, gradients and moments, then the step."""
    torch.set_num_threads(1)
    short = [
        batch._replace(
            queries=[tokens[-4:] for tokens in batch.queries],
            candidates=[[tokens[-4:] for tokens in row] for row in batch.candidates],
        )
        for batch in job.batches
    ]
    ARMS[arm](job._replace(batches=short))
    before = memory_mb("VmHWM")
    ARMS[arm](job)
    return {"before_mb": before, "peak_mb": memory_mb("VmHWM")}


def _still(job: Job, arm: str) -> tuple[list[float], list[torch.Tensor]]:
    """Return losses and clipped gradients of all batches; at a rate of 0 the weights stay those of the start."""
    gradients: list[torch.Tensor] = []

    def keep(model: torch.nn.Module) -> None:
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))

    found = ARMS[arm](job._replace(learning_rate=0.0, watch=keep))
    return found.losses, gradients


def _speed(seconds: Mapping[str, list[list[float]]], arm: str, *, tuples: int) -> dict[str, Any]:
    totals = [sum(one) for one in seconds[arm]]
    found = {"tuples_per_cpu_second": median(tuples / total for total in totals), "cpu_seconds_by_round": totals}
    if "ours" in seconds and arm != "ours":
        ratios = [theirs / sum(ours) for theirs, ours in zip(totals, seconds["ours"], strict=True)]
        found["ours_times_faster"] = {"median": median(ratios), "min": min(ratios), "max": max(ratios)}
    return found


def _batch(batch: TokenBatch, seconds: Mapping[str, list[list[float]]], place: int) -> dict[str, Any]:
    return {
        "source": batch.source,
        "useful_tokens": batch.useful_tokens,
        "padded_tokens": batch.padded_tokens,
        "cpu_seconds": {arm: median(one[place] for one in rounds) for arm, rounds in seconds.items()},
    }
