"""The loss of a batch: the weighted sum of its terms, on the vectors of all processes.

Every process evaluates the same functions on the same vectors, so the loss does not depend on their number.
A new term is a function of `Vectors` and its own parameters in a file of its family, an entry in TERMS that takes the
parameters from the settings, its name and tasks in f2llm/config/losses.py, and its name in the schema of the config.
"""

from collections.abc import Callable, Mapping

import torch

from f2llm.config.losses import TASKS_OF_TERM
from f2llm.config.train import Train
from f2llm.train.losses.batch_vectors import Vectors
from f2llm.train.losses.contrastive import hard, in_batch

TERMS: Mapping[str, Callable[[Vectors, Train], torch.Tensor]] = {
    "hard": lambda vectors, train: hard(vectors, temperature=train.temperature),
    "in_batch": lambda vectors, train: in_batch(
        vectors,
        temperature=train.temperature,
        passage_gradient=train.passage_gradient == "full",
        mask_equal_positives=train.mask_equal_positives,
    ),
}


def evaluate_terms(vectors: Vectors, settings: Train, *, task: str) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of a batch, and the value of each term that applies to its task, unweighted.

    The loss is the weighted sum of the terms. With `matryoshka` (arXiv 2205.13147) it is the weighted sum of that loss
    over vectors cut to each size, while the values returned stay those of whole vectors.
    """
    terms = [(term.term, term.weight) for term in settings.losses if task in TASKS_OF_TERM[term.term]]
    whole = {name: TERMS[name](vectors, settings) for name, _ in terms}
    if not settings.matryoshka:
        return torch.stack([weight * whole[name] for name, weight in terms]).sum(), whole
    width, losses = vectors.query_BD.shape[1], []
    for size in settings.matryoshka:
        short = vectors.cut(size.dimensions)
        values = whole if size.dimensions == width else {name: TERMS[name](short, settings) for name, _ in terms}
        losses += [size.weight * weight * values[name] for name, weight in terms]
    return torch.stack(losses).sum(), whole
