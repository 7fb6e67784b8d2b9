"""What a model is. Meaning, units and defaults: workflow/schemas/model.schema.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from f2llm.config.build import digest
from f2llm.config.fetch import Fetch
from f2llm.config.geometry import Geometry
from f2llm.config.rights import Licence

LOCK = Path("config", "counts.lock.json")


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


def model_digest(model: Model) -> str:
    """Digest of what decides the shape of a model."""
    return digest([model.fetch, model.member, model.layers])


def known_geometry(model: Model, lock: Mapping[str, Any]) -> Geometry | None:
    """Shape of a model before its files are here: stated, or as recorded in `lock`."""
    if model.geometry:
        return model.geometry
    entry = lock.get("models", {}).get(model.name)
    return Geometry(**entry["geometry"]) if entry and entry["digest"] == model_digest(model) else None
