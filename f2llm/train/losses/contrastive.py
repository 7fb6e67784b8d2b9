"""The two loss terms of F2LLM (arXiv 2510.02294, section on training): cross entropies of cosine / temperature.

Shapes: B tuples of the batch, P distinct passages, K candidates (the positive, then hard negatives), D dimensions.
"""

import torch
from torch.nn.functional import cross_entropy, normalize

from f2llm.train.losses.batch_vectors import NO_PASSAGE, Vectors


def hard(vectors: Vectors, *, temperature: float) -> torch.Tensor:
    """Mean cross entropy of each query's positive against the hard negatives of its tuple."""
    candidates_BK = vectors.candidates_BK
    candidate_BKD = normalize(vectors.passage_PD, dim=-1)[candidates_BK.clamp(min=0)]
    cosine_BK = torch.einsum("bd,bkd->bk", normalize(vectors.query_BD, dim=-1), candidate_BKD)
    logits_BK = (cosine_BK / temperature).masked_fill(candidates_BK == NO_PASSAGE, float("-inf"))
    return cross_entropy(logits_BK, torch.zeros_like(candidates_BK[:, 0]))


def in_batch(
    vectors: Vectors, *, temperature: float, passage_gradient: bool, mask_equal_positives: bool
) -> torch.Tensor:
    """Mean cross entropy of each query's positive against the positives of all other queries.

    With `mask_equal_positives`, positives of others that are also right for the query are left out. Without
    `passage_gradient` only query vectors get a gradient, as in upstream's code, whose gather is not differentiable.
    """
    positive_BD = vectors.passage_PD[vectors.candidates_BK[:, 0]]
    if not passage_gradient:
        positive_BD = positive_BD.detach()
    logits_BB = normalize(vectors.query_BD, dim=-1) @ normalize(positive_BD, dim=-1).T / temperature
    row_B = torch.arange(len(logits_BB), device=logits_BB.device)
    if mask_equal_positives:
        others_BB = vectors.equal_BB & (row_B[:, None] != row_B[None, :])
        logits_BB = logits_BB.masked_fill(others_BB, float("-inf"))
    return cross_entropy(logits_BB, row_B)
