"""Settings of tokenisation. Meaning, units and defaults: workflow/schemas/config/tokens.schema.yaml."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Lengths that training texts are cut to, in tokens with EOS."""

    query_max_length: int
    passage_max_length: int


@dataclass(frozen=True, kw_only=True)
class PromptedModel:
    """The part of a backbone's stanza that decides its tokens, besides its tokenizer."""

    name: str
    pooling: Literal["last", "mean", "cls"]
    append_eos: bool
    query_prompt: str
