"""Settings of evaluation. Meaning, units and defaults: workflow/schemas/config/evaluate.schema.yaml."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Least gain in points of the mean over all tasks; below it the run fails."""

    over_base_last: float
    over_base_mean: float


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """A model that is scored beside the run; None: as the stage's own settings say."""

    model: str
    max_length: int | None
    precision: Literal["auto", "float32", "bfloat16"] | None
    dimensions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Settings of the evaluate stage."""

    max_length: int
    precision: Literal["auto", "float32", "bfloat16"]
    gate: Gate
    tier: Literal["smoke", "nano", "full"]
    models: tuple[ScoredModel, ...]
    dimensions: tuple[int, ...]
    leaderboard: str
    shard_texts: int
