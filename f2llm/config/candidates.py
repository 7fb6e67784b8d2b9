"""A model as it is evaluated: the trained one, its base under two poolings, the retriever, or another.

The base is scored twice because a decoder that was never trained for it has little meaning in the state of its last
token; the mean over all tokens is the harder baseline. Both come from one forward pass, so one job scores both, and
likewise a model and its cut vectors. Nothing heavy is imported here, because planning the workflow reads this module.
"""

from dataclasses import dataclass

RUN, BASE_LAST, BASE_MEAN, CEILING, OTHER, CUT = ROLES = ("run", "base_last", "base_mean", "ceiling", "other", "cut")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model, and how it turns texts into the vectors that are scored."""

    name: str  # part of paths and the name that mteb sees
    role: str  # one of ROLES
    folder: str  # a plain transformers folder
    pooling: str
    query_prompt: str  # with "{instruction}" to be filled in; empty: texts are encoded as they are
    max_length: int  # tokens
    precision: str  # auto | float32 | bfloat16
    passage_prompt: str = ""
    dimensions: int | None = None  # vectors are cut to their first `dimensions` numbers
