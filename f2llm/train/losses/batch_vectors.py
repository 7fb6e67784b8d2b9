"""The vectors of a batch and their relations, as every loss term reads them."""

from typing import NamedTuple

import torch

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
        """The same with the first components only."""
        return self._replace(query_BD=self.query_BD[:, :dimensions], passage_PD=self.passage_PD[:, :dimensions])
