"""One optimiser step, whose result does not depend on the number of processes (but for rounding).

The sequences of a batch are dealt to processes and chunks by length. A step then has four parts:

1. Encode. Each process fills the rows of its own sequences in one table of vectors.
2. Share. A sum over processes makes the table whole: all other rows are zero, so this is an exact gather.
3. Loss. Every process evaluates the loss of the whole batch, and so gets the gradient of every row of the table.
4. Backward. Each process sends the gradients of its own rows back through the model.

No collective runs inside autograd. Chunks whose activations do not fit in memory together are run twice
(GradCache, arXiv 2101.06983): first for their vectors, then for their gradients.
Shapes: S sequences (B queries, then P passages), D dimensions.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from f2llm.config.train import Train
from f2llm.models.network import encode_packed
from f2llm.models.packing import deal, pack
from f2llm.records.errors import InputError
from f2llm.train.batches import Batch
from f2llm.train.losses.batch_vectors import Vectors
from f2llm.train.losses.loss import evaluate_terms
from f2llm.train.world import World, expect_last_backward, release

SHOWN_IDS = 3
DUMMY = np.zeros(1, np.int32)


class Loss(NamedTuple):
    """The loss of one batch: the weighted sum, and the terms before they are weighted."""

    source: str
    loss: float
    terms: Mapping[str, float]
    tokens: int
    computed_tokens: int  # with the dummies that processes without a sequence encode


class StepReport(NamedTuple):
    """Losses, learning rate and gradient norm of one step."""

    batches: tuple[Loss, ...]
    learning_rate: float
    gradient_norm: float

    @property
    def tokens(self) -> int:
        """Tokens of all batches, each counted once."""
        return sum(batch.tokens for batch in self.batches)


class Budget(NamedTuple):
    """How many tokens a process may hold in memory."""

    tokens_per_chunk: int  # of one forward pass
    tokens_kept: int = 0  # whose activations stay for the backward pass


class _Encoded(NamedTuple):
    """An encoded batch."""

    table_SD: torch.Tensor  # vectors of the whole batch; a leaf, so that its gradient stays
    chunks: list[list[int]]  # places of this process's sequences
    kept: list[torch.Tensor]  # vectors of the last chunks, with their graphs


class Trainer(NamedTuple):
    """A model with its optimiser, in a world of processes."""

    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    world: World
    settings: Train
    precision: str  # float32, or bfloat16 (by autocast)
    steps: int  # of the whole run
    budget: Budget

    def step(self, batches: Sequence[Batch]) -> StepReport:
        """One optimiser step on the mean loss of `batches`.

        Raises:
            InputError: the loss or the gradient is not finite; the weights are those before the step.
        """
        rate = learning_rate(batches[0].step, steps=self.steps, settings=self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses = []
        for number, batch in enumerate(batches):
            encoded = self._encode_all(batch, keep=True)
            loss, terms = self._loss(batch, encoded.table_SD)
            _stop_if_not_finite(loss, "loss", [batch])
            (loss / len(batches)).backward()
            self._backward(batch, encoded, last=number == len(batches) - 1)
            losses.append(self._report(batch, loss, terms))
        norm = clip_grad_norm_(self.model.parameters(), self.settings.clip_norm, foreach=False)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of sharded gradients
        _stop_if_not_finite(norm, "gradient norm", batches)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return StepReport(tuple(losses), rate, float(norm))

    def evaluate(self, batch: Batch) -> Loss:
        """The loss of a batch; weights and random state stay as they are."""
        with torch.no_grad():
            encoded = self._encode_all(batch, keep=False)
            loss, terms = self._loss(batch, encoded.table_SD)
        release(self.model)
        return self._report(batch, loss, terms)

    def _deal(self, batch: Batch) -> list[list[list[int]]]:
        lengths = [len(sequence) for sequence in batch.sequences]
        return deal(lengths, processes=self.world.size, tokens_per_chunk=self.budget.tokens_per_chunk)

    def _encode(self, batch: Batch, chunk: Sequence[int]) -> torch.Tensor:
        """The vectors of one chunk, [max(1, len(chunk)), D]."""
        # An empty chunk encodes a dummy: sharded weights are gathered in each pass, so all processes must take part.
        sequences = [batch.sequences[place] for place in chunk] or [DUMMY]
        device = self.world.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return encode_packed(self.model, pack(sequences, device=device))

    def _encode_all(self, batch: Batch, *, keep: bool) -> _Encoded:
        """Encode this process's chunks and share the vectors of all; with `keep`, keep the last graphs that fit."""
        dealt = self._deal(batch)
        chunks = dealt[self.world.rank]
        # How many graphs fit is decided by the heaviest chunk of any process, so that the number is the same in all:
        # every pass without a kept graph gathers sharded weights, and all processes must take part in that.
        heaviest = max(sum(len(batch.sequences[place]) for place in chunk) for chunk in chain(*dealt))
        graphs = min(len(chunks), max(1, self.budget.tokens_kept // heaviest)) if keep else 0
        first_kept = len(chunks) - graphs
        with torch.no_grad():
            without_graph = [self._encode(batch, chunk) for chunk in chunks[:first_kept]]
        # The backward pass begins with the last chunk, so the last graphs are those that may stay.
        kept = [self._encode(batch, chunk) for chunk in chunks[first_kept:]]
        encoded = [*without_graph, *(vectors.detach() for vectors in kept)]
        # Rows of other processes stay zero, which makes the sum over processes an exact gather.
        table_SD = encoded[0].new_zeros(len(batch.sequences), encoded[0].shape[1])
        for chunk, vectors in zip(chunks, encoded, strict=True):
            table_SD[chunk] = vectors[: len(chunk)]  # without the row of a dummy
        return _Encoded(self.world.sum_(table_SD.detach()).requires_grad_(keep), chunks, kept)

    def _loss(self, batch: Batch, table_SD: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and terms of the whole batch, in float32 unless the settings ask for the model's format."""
        device, tuples = table_SD.device, len(batch.candidates_BK)
        if self.settings.loss_precision == "model" and self.precision == "bfloat16":
            table_SD = table_SD.bfloat16()
        vectors = Vectors(
            query_BD=table_SD[:tuples],
            passage_PD=table_SD[tuples:],
            candidates_BK=torch.from_numpy(batch.candidates_BK).to(device),
            equal_BB=torch.from_numpy(batch.equal_BB).to(device),
        )
        return evaluate_terms(vectors, self.settings, task=batch.task)

    def _backward(self, batch: Batch, encoded: _Encoded, *, last: bool) -> None:
        """Send the table's gradient back through every chunk, last chunk first.

        Chunks without a kept graph are encoded again. The order does not depend on how many graphs were kept, so
        neither do the bits of the gradient.
        """
        chunks, kept, gradient_SD = encoded.chunks, encoded.kept, encoded.table_SD.grad
        for number in reversed(range(len(chunks))):
            # Gradients are summed over processes once a step, in its very last backward pass.
            expect_last_backward(self.model, last and number == 0)
            vectors = kept.pop() if kept else self._encode(batch, chunks[number])
            gradient = torch.zeros_like(vectors)  # zero for a dummy
            gradient[: len(chunks[number])] = gradient_SD[chunks[number]]
            vectors.backward(gradient)

    def _report(self, batch: Batch, loss: torch.Tensor, terms: Mapping[str, torch.Tensor]) -> Loss:
        tokens = sum(map(len, batch.sequences))
        dummies = sum(not chunk for chunks in self._deal(batch) for chunk in chunks)
        values = {name: float(value.detach()) for name, value in terms.items()}
        return Loss(batch.source, float(loss.detach()), values, tokens, tokens + dummies * len(DUMMY))


def learning_rate(step: int, *, steps: int, settings: Train) -> float:
    """The rate at a 0-based step of `steps`: linear warm-up, then a cosine, never below min_lr_ratio x peak.

    With `first_step_at_zero` the warm-up is one step late, as with torch's LambdaLR: the first step has rate 0.
    `warmup_ticks` is the number of warm-up steps that pass in one step: accelerate's scheduler ticks once for each
    process, so upstream's 500 warm-up steps end after 32 on 16 GPUs.
    """
    peak, offset = settings.learning_rate, 0 if settings.first_step_at_zero else 1
    warmup = settings.warmup_steps / settings.warmup_ticks
    if step < warmup:
        return peak * min(1.0, (step + offset) / warmup)
    done = (step - warmup) / max(1, steps - warmup)
    return peak * max(settings.min_lr_ratio, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def make_optimiser(model: torch.nn.Module, *, settings: Train) -> torch.optim.AdamW:
    """AdamW over the trainable parameters; weight decay on vectors (norms, biases) only with `decay_vectors`."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decaying = [p for p in trainable if p.ndim > 1 or settings.decay_vectors]
    groups = [
        {"params": decaying, "weight_decay": settings.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1 and not settings.decay_vectors], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,
    )


def _stop_if_not_finite(value: torch.Tensor, what: str, batches: Sequence[Batch]) -> None:
    """Raise if `value`, which follows from all these batches, is not a finite number."""
    value = value.detach()
    if not torch.isfinite(value):
        suspects = "; ".join(
            f"source {batch.source}, tuples {', '.join(batch.tuple_ids[:SHOWN_IDS])}, ..." for batch in batches
        )
        raise InputError(
            f"step {batches[0].step}: the {what} is {float(value)} ({suspects}; the plan has all of this step); "
            "lower learning_rate or raise warmup_steps, or look at these tuples"
        )
