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
from torch.nn.functional import cross_entropy, normalize

from f2llm.config.run import Train
from f2llm.train.settings import IN_BATCH_TASKS

NO_PASSAGE = -1


class Vectors(NamedTuple):
    """What a term sees: vectors of any length, and who belongs to whom.

    Attributes:
        query_BD: vectors of the queries.
        passage_PD: vectors of the distinct passages.
        candidates_BK: rows of `passage_PD`: the positive first, then the hard negatives, then
            NO_PASSAGE where a tuple has fewer than the others.
        equal_BB: true where column b's positive is right for row b's query as well.
    """

    query_BD: torch.Tensor
    passage_PD: torch.Tensor
    candidates_BK: torch.Tensor
    equal_BB: torch.Tensor

    def cut(self, dimensions: int) -> "Vectors":
        """Return the same with the first components only."""
        return self._replace(query_BD=self.query_BD[:, :dimensions], passage_PD=self.passage_PD[:, :dimensions])


class Term(NamedTuple):
    """A term of the loss and the tasks that it applies to (None: all)."""

    value: Callable[[Vectors, Train], torch.Tensor]
    tasks: frozenset[str] | None = None

    def applies(self, task: str) -> bool:
        """Whether batches of sources of this task have the term."""
        return self.tasks is None or task in self.tasks


def hard(vectors: Vectors, settings: Train) -> torch.Tensor:
    """Return the mean cross entropy of each query's positive against its own hard negatives."""
    candidates_BK = vectors.candidates_BK
    candidate_BKD = normalize(vectors.passage_PD, dim=-1)[candidates_BK.clamp(min=0)]
    cosine_BK = torch.einsum("bd,bkd->bk", normalize(vectors.query_BD, dim=-1), candidate_BKD)
    logits_BK = (cosine_BK / settings.temperature).masked_fill(candidates_BK == NO_PASSAGE, float("-inf"))
    return cross_entropy(logits_BK, torch.zeros_like(candidates_BK[:, 0]))


def in_batch(vectors: Vectors, settings: Train) -> torch.Tensor:
    """Return the mean cross entropy of each query's positive against the positives of all other queries.

    With `mask_equal_positives`, candidates that are right for the query as well are left out. Without
    passage gradient only queries learn, as in upstream's code, whose gather is not differentiable.
    """
    positive_BD = vectors.passage_PD[vectors.candidates_BK[:, 0]]
    if settings.passage_gradient == "none":
        positive_BD = positive_BD.detach()
    logits_BB = normalize(vectors.query_BD, dim=-1) @ normalize(positive_BD, dim=-1).T / settings.temperature
    own_B = torch.arange(len(logits_BB), device=logits_BB.device)
    if settings.mask_equal_positives:
        others_BB = vectors.equal_BB & (own_B[:, None] != own_B[None, :])
        logits_BB = logits_BB.masked_fill(others_BB, float("-inf"))
    return cross_entropy(logits_BB, own_B)


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
