"""The vectors of a batch and their relations, as every loss term reads them."""

from typing import NamedTuple

import torch

NO_PASSAGE = -1


class Vectors(NamedTuple):
    """The vectors of a batch, not normalised, and which query and passage belong together.

    Attributes:
        query_BD: vectors of the queries.
        passage_PD: vectors of the distinct passages.
        candidates_BK: rows of `passage_PD`: the positive, then the hard negatives, then NO_PASSAGE where a tuple has
            fewer than the others.
        equal_BB: true where the positive of column b is also right for the query of row b.
    """

    query_BD: torch.Tensor
    passage_PD: torch.Tensor
    candidates_BK: torch.Tensor
    equal_BB: torch.Tensor

    def cut(self, dimensions: int) -> "Vectors":
        """The same batch with only the first `dimensions` components of each vector."""
        return self._replace(query_BD=self.query_BD[:, :dimensions], passage_PD=self.passage_PD[:, :dimensions])
