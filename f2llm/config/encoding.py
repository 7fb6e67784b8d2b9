"""The parts of a source's and a model's stanza that embedding and mining read."""

from dataclasses import dataclass
from typing import Literal

from f2llm.records.errors import SourceError


@dataclass(frozen=True, kw_only=True)
class MinedSource:
    """The part of a source's stanza that embedding and mining read."""

    name: str
    task: Literal["retrieval", "classification", "clustering", "sts"]
    shape: str
    ready: bool
    instruction: str


@dataclass(frozen=True, kw_only=True)
class EncodingModel:
    """The part of a model's stanza that, besides its weights, decides vectors."""

    name: str
    format: Literal["gguf", "folder", "vectors"]
    pooling: Literal["last", "mean", "cls"]
    query_prompt: str
    passage_prompt: str


def searched(source: MinedSource) -> bool:
    """Whether a retriever searches for the negatives of this source; otherwise they are given or drawn.

    Raises:
        SourceError: the source cannot be trained on, because its pairs are graded.
    """
    if source.task == "sts" and not source.ready:
        raise SourceError(
            f"source {source.name}: graded pairs (task: sts) are for evaluation, they are not mined; "
            "take the source out of `sources`, or normalise its pairs as task: retrieval"
        )
    return source.task == "retrieval" and not source.ready
