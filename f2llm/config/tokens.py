"""Settings of tokenisation. Meaning, units and defaults: workflow/schemas/config/tokens.schema.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Lengths that training texts are cut to, in tokens with EOS."""

    query_max_length: int
    passage_max_length: int
