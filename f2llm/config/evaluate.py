"""Settings of evaluation. Meaning, units and defaults: workflow/schemas/config/evaluate.schema.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Least gain in points of the mean over all tasks; below it the run fails."""

    over_base_last: float
    over_base_mean: float


@dataclass(frozen=True, kw_only=True)
class ScoredModel:
    """A model that is scored beside the run; None: as the stage's own settings say."""

    model: str  # a stanza of config/models
    max_length: int | None = None
    precision: str | None = None
    dimensions: tuple[int, ...] = ()  # cut vectors that are scored as well


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Settings of the evaluate stage."""

    max_length: int
    precision: str  # auto | float32 | bfloat16
    gate: Gate
    tier: str = "full"  # smoke | nano | full
    models: tuple[ScoredModel, ...] = ()
    dimensions: tuple[int, ...] = ()  # cut vectors of the run that are scored as well
    leaderboard: str = ""  # folder of published results; empty: none
    shard_texts: int = 100_000  # passages of a task that one job encodes
