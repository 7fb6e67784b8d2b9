"""What a model is. Meaning, units and defaults: workflow/schemas/model.schema.yaml."""

from dataclasses import dataclass
from typing import Literal

from f2llm.config.fetch import Fetch, Licence


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Shape of a decoder, for estimates before its weights are here."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """One stanza of config/models: a backbone to train or a retriever to mine with."""

    name: str
    fetch: Fetch
    format: Literal["gguf", "folder", "vectors"]
    member: str
    layers: int | None
    pooling: Literal["last", "mean", "cls"]
    append_eos: bool
    query_prompt: str
    passage_prompt: str
    licence: Licence
    reference: str
    geometry: Geometry | None
