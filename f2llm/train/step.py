"""One optimiser step whose mathematics does not know how many processes there are.

Sequences of the global batch are dealt to processes and chunks by their length. Each process fills
its rows of one table of vectors, a sum over processes makes the table whole (an exact gather), every
process evaluates the whole loss, and the gradient of each row goes back to the process that made it.
So there are no collectives inside autograd, and chunks that do not fit in memory together are run
twice (GradCache, arXiv 2101.06983): first for their vectors, then for their gradients.
Shapes: S sequences (B queries, then P passages), D dimensions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from f2llm.config.run import Train
from f2llm.encode.packed import encode_packed, pack
from f2llm.errors import InputError
from f2llm.train.batches import Batch
from f2llm.train.dealing import deal
from f2llm.train.losses import hard, in_batch
from f2llm.train.optimiser import learning_rate
from f2llm.train.settings import IN_BATCH_TASKS
from f2llm.train.world import World, expect_last_backward

FIRST_IDS = 3
DUMMY = np.zeros(1, np.int32)


class Outcome(NamedTuple):
    """What a step reports: losses before weighting (in_batch None where it does not apply)."""

    loss: float
    hard: float | None
    in_batch: float | None
    learning_rate: float
    gradient_norm: float
    tokens: int


class Trainer(NamedTuple):
    """A model and its optimiser in a world. `precision` is float32 or bfloat16 (autocast)."""

    model: torch.nn.Module
    optimiser: torch.optim.Optimizer
    world: World
    settings: Train
    precision: str

    def step(self, batch: Batch) -> Outcome:
        """Run one optimiser step.

        Raises:
            InputError: the loss or the gradient is not finite; the weights are those before the step.
        """
        rate = learning_rate(batch.step, settings=self.settings)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        lengths = [len(sequence) for sequence in batch.sequences]
        dealt = deal(lengths, processes=self.world.size, tokens_per_chunk=self.settings.tokens_per_chunk)
        chunks = dealt[self.world.rank]
        table_SD, kept_graph = self._encode_all(batch, chunks)
        losses = self._losses(batch, table_SD)
        weights = {term.term: term.weight for term in self.settings.losses}
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        _stop_if_not_finite(loss, "loss", batch)
        loss.backward()
        self._backward(batch, chunks, table_SD.grad, kept_graph)
        norm = _whole(clip_grad_norm_(self._trainable(), self.settings.clip_norm, foreach=False))
        _stop_if_not_finite(norm, "gradient norm", batch)
        self.optimiser.step()
        self.optimiser.zero_grad()
        reported = {name: float(value.detach()) for name, value in losses.items()}
        return Outcome(
            loss=float(loss.detach()),
            hard=reported.get("hard"),
            in_batch=reported.get("in_batch"),
            learning_rate=rate,
            gradient_norm=float(norm),
            tokens=sum(lengths),
        )

    def _trainable(self) -> list[torch.nn.Parameter]:
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _encode(self, batch: Batch, chunk: Sequence[int]) -> torch.Tensor:
        """Return the vectors of one chunk; an empty one runs a dummy, since all processes must run alike."""
        sequences = [batch.sequences[place] for place in chunk] or [DUMMY]
        device = self.world.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            return encode_packed(self.model, pack(sequences, device=device))

    def _encode_all(self, batch: Batch, chunks: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the table of all vectors as a leaf, and the last chunk's vectors with their graph.

        Memory holds the graph of one chunk. The last one's is kept, so a process with a single chunk
        runs nothing twice.
        """
        with torch.no_grad():
            parts = [self._encode(batch, chunk) for chunk in chunks[:-1]]
        kept_graph = self._encode(batch, chunks[-1])
        table_SD = kept_graph.new_zeros(len(batch.sequences), kept_graph.shape[1])
        for chunk, part in zip(chunks, [*parts, kept_graph.detach()], strict=True):
            table_SD[chunk] = part[: len(chunk)]
        return self.world.sum_(table_SD).requires_grad_(), kept_graph

    def _losses(self, batch: Batch, table_SD: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the terms that apply to the batch, each unweighted, evaluated on the whole table."""
        settings, device = self.settings, table_SD.device
        tuples = len(batch.candidates_BK)
        query_BD, passage_PD = table_SD[:tuples], table_SD[tuples:]
        candidates_BK = torch.from_numpy(batch.candidates_BK).to(device)
        terms = [term.term for term in settings.losses if term.term == "hard" or batch.task in IN_BATCH_TASKS]
        losses = {}
        for name in terms:
            if name == "hard":
                losses[name] = hard(query_BD, passage_PD, candidates_BK, temperature=settings.temperature)
            else:
                equal_BB = torch.from_numpy(batch.equal_BB).to(device) if settings.mask_equal_positives else None
                losses[name] = in_batch(
                    query_BD,
                    passage_PD[candidates_BK[:, 0]],
                    temperature=settings.temperature,
                    equal_BB=equal_BB,
                    passage_gradient=settings.passage_gradient == "full",
                )
        return losses

    def _backward(
        self, batch: Batch, chunks: list[list[int]], gradient_SD: torch.Tensor, kept_graph: torch.Tensor
    ) -> None:
        """Send the table's gradient back through every chunk: the kept one, then the others anew."""
        for number, chunk in enumerate([chunks[-1], *chunks[:-1]]):
            expect_last_backward(self.model, number == len(chunks) - 1)
            vectors = kept_graph if number == 0 else self._encode(batch, chunk)
            gradient = torch.zeros_like(vectors)
            gradient[: len(chunk)] = gradient_SD[chunk]
            vectors.backward(gradient)


def _whole(norm: torch.Tensor) -> torch.Tensor:
    """Return a norm that may be spread over processes as a plain tensor."""
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


def _stop_if_not_finite(value: torch.Tensor, what: str, batch: Batch) -> None:
    value = value.detach()
    if not torch.isfinite(value):
        ids = ", ".join(batch.tuple_ids[:FIRST_IDS])
        raise InputError(
            f"step {batch.step}: source {batch.source}: the {what} is {float(value)} (tuples {ids}, ...); "
            "lower learning_rate or raise warmup_steps, or look at these tuples"
        )
