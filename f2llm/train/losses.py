"""The two terms of F2LLM's loss (arXiv 2510.02294, section on training), on all vectors of a global batch.

Every process evaluates the same functions on the same vectors, so the mathematics does not know how
many there are. Shapes: B tuples of the batch, P distinct passages, K candidates (the positive, then
hard negatives), D dimensions.
"""

import torch
from torch.nn.functional import cross_entropy, normalize

NO_PASSAGE = -1


def hard(
    query_BD: torch.Tensor, passage_PD: torch.Tensor, candidates_BK: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Return the mean cross entropy of each query's positive against its own hard negatives, on cosines / temperature.

    `candidates_BK` are rows of `passage_PD`: the positive first, then the hard negatives, then
    NO_PASSAGE where a tuple has fewer than the others.
    """
    candidate_BKD = normalize(passage_PD, dim=-1)[candidates_BK.clamp(min=0)]
    cosine_BK = torch.einsum("bd,bkd->bk", normalize(query_BD, dim=-1), candidate_BKD)
    logits_BK = (cosine_BK / temperature).masked_fill(candidates_BK == NO_PASSAGE, float("-inf"))
    return cross_entropy(logits_BK, torch.zeros_like(candidates_BK[:, 0]))


def in_batch(
    query_BD: torch.Tensor,
    positive_BD: torch.Tensor,
    *,
    temperature: float,
    equal_BB: torch.Tensor | None = None,
    passage_gradient: bool = True,
) -> torch.Tensor:
    """Return the mean cross entropy of each query's positive against the positives of all other queries.

    `equal_BB` (bool) is true where column b's positive is right for row b's query as well; such
    candidates are left out, the query's own never. Without `passage_gradient` only queries learn, as
    in upstream's code, whose gather is not differentiable.
    """
    if not passage_gradient:
        positive_BD = positive_BD.detach()
    logits_BB = normalize(query_BD, dim=-1) @ normalize(positive_BD, dim=-1).T / temperature
    own_B = torch.arange(len(query_BD), device=query_BD.device)
    if equal_BB is not None:
        others_BB = equal_BB & (own_B[:, None] != own_B[None, :])
        logits_BB = logits_BB.masked_fill(others_BB, float("-inf"))
    return cross_entropy(logits_BB, own_B)
