"""What a model is. Meaning, units and defaults: workflow/schemas/model.schema.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from f2llm.config.build import digest
from f2llm.config.fetch import FetchedModel, plain_places
from f2llm.config.geometry import Geometry

LOCK = Path("config", "counts.lock.json")


@dataclass(frozen=True, kw_only=True)
class Model(FetchedModel):
    """One stanza of config/models: a backbone to train or a retriever to mine with."""

    query_prompt: str
    passage_prompt: str
    reference: str


def model_digest(model: Model) -> str:
    """Digest of what decides the shape of a model."""
    return digest([*plain_places([model.fetch]), model.member, model.layers])


def known_geometry(model: Model, lock: Mapping[str, Any]) -> Geometry | None:
    """Shape of a model before its files are here: stated, or as recorded in `lock`."""
    if model.geometry:
        return model.geometry
    entry = lock.get("models", {}).get(model.name)
    return Geometry(**entry["geometry"]) if entry and entry["digest"] == model_digest(model) else None
