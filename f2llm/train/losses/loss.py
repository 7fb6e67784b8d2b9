"""The terms of the loss, on all vectors of a batch: F2LLM's two (arXiv 2510.02294, section on training).

Both are cross entropies of cosines / temperature.

Every process evaluates the same functions on the same vectors, so the mathematics does not know how
many there are. A new term is a function of `Vectors` and the `Train` settings, a line in TERMS, its
name in workflow/schemas/config.schema.yaml and its column in records/schemas.py.
Shapes: B tuples of the batch, P distinct passages, K candidates (the positive, then hard negatives),
D dimensions.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from f2llm.config.losses import IN_BATCH_TASKS
from f2llm.config.train import Train
from f2llm.train.losses.batch_vectors import Vectors
from f2llm.train.losses.contrastive import hard, in_batch


class Term(NamedTuple):
    """A term of the loss and the tasks that it applies to (None: all)."""

    value: Callable[[Vectors, Train], torch.Tensor]
    tasks: frozenset[str] | None = None

    def applies(self, task: str) -> bool:
        """Whether batches of sources of this task have the term."""
        return self.tasks is None or task in self.tasks


TERMS: Mapping[str, Term] = {
    "hard": Term(hard),
    # Elsewhere many tuples of a batch share a class, so that their positives are no negatives of each other.
    "in_batch": Term(in_batch, tasks=IN_BATCH_TASKS),
}


def evaluate_terms(vectors: Vectors, settings: Train, *, task: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Return the loss of a batch, and the value of each term that applies to it, unweighted.

    The loss is the weighted sum of the terms; with `matryoshka`, the weighted sum of that over the
    first so many components (arXiv 2205.13147), while the values stay those of whole vectors.
    """
    terms = [(term.term, term.weight) for term in settings.losses if TERMS[term.term].applies(task)]
    whole = {name: TERMS[name].value(vectors, settings) for name, _ in terms}
    if not settings.matryoshka:
        return torch.stack([weight * whole[name] for name, weight in terms]).sum(), whole
    width, losses = vectors.query_BD.shape[1], []
    for size in settings.matryoshka:
        short = vectors.cut(size.dimensions)
        values = whole if size.dimensions == width else {name: TERMS[name].value(short, settings) for name, _ in terms}
        losses += [size.weight * weight * values[name] for name, weight in terms]
    return torch.stack(losses).sum(), whole
