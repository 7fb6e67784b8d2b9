"""What a model is: where its weights lie and how texts become vectors."""

from dataclasses import dataclass

from f2llm.config.fetch import Fetch, Licence

POOLINGS = ("last", "mean", "cls")


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Shape of a decoder, for estimates before its weights are here."""

    layers: int
    hidden: int  # width of the residual stream
    intermediate: int  # width inside the feed-forward blocks
    heads: int  # of queries
    kv_heads: int  # of keys and values
    head_dim: int
    vocabulary: int  # rows of the embedding matrix


@dataclass(frozen=True, kw_only=True)
class Model:
    """One stanza of config/models: a backbone to train or a retriever to mine with."""

    name: str
    fetch: Fetch
    format: str  # gguf (dequantised once) | folder (a plain transformers folder) | vectors (made elsewhere)
    member: str  # file or folder inside the fetched archive or folder; "" for the folder itself
    layers: int | None = None  # keep the first so many decoder layers
    pooling: str  # one of POOLINGS
    append_eos: bool  # decoders pooled at the last token: every text ends in EOS
    query_prompt: str = ""  # "{instruction}" is filled in; empty: texts are encoded as they are
    passage_prompt: str = ""  # put before passages, not for a backbone: training puts nothing there
    licence: Licence
    reference: str
    geometry: Geometry | None = None
