"""What is evaluated, in which jobs: the trained run, its base under two poolings, the retriever, other models.

The base is scored twice because a decoder that was never trained for it says little at its last
token; its mean over all tokens is the harder baseline. Both come from one forward pass, so they
share a job, as do cut vectors of a model. Nothing heavy is imported here: the workflow reads this when it plans.
"""

from dataclasses import dataclass

RUN, BASE_LAST, BASE_MEAN, CEILING, OTHER, CUT = ROLES = ("run", "base_last", "base_mean", "ceiling", "other", "cut")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model as it is evaluated."""

    name: str  # part of paths and the name that mteb sees
    role: str  # one of ROLES
    folder: str  # a plain transformers folder
    pooling: str
    query_prompt: str  # "{instruction}" is filled in; empty: texts are encoded as they are
    max_length: int  # tokens
    precision: str  # auto | float32 | bfloat16
    passage_prompt: str = ""
    dimensions: int | None = None  # only the first so many numbers of a vector
