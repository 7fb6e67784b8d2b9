"""Settings of curation. Meaning, units and defaults: workflow/schemas/config/curate.schema.yaml."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Near:
    """Near-duplicate policy (numbers: docs/curation.md)."""

    policy: Literal["off", "report", "drop"]
    min_words: int
    threshold: float
    report_threshold: float
    permutations: int
    bands: int
    guard: bool


@dataclass(frozen=True, kw_only=True)
class Decontaminate:
    """Policy against the run's own evaluation texts."""

    policy: Literal["off", "report", "drop"]
    containment: float
    min_words: int
    missing: Literal["fail", "allow"]
    texts: tuple[str, ...]
    query_like: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Across:
    """Policy for queries that several sources have."""

    policy: Literal["off", "report", "drop"]


@dataclass(frozen=True, kw_only=True)
class Curate:
    """Settings of the curate stage."""

    near: Near
    decontaminate: Decontaminate
    across: Across
    memory_mb: int


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A folder of rows made elsewhere, to be matched against the benchmark."""

    path: str
    fields: tuple[str, ...]
    on_unreadable: Literal["fail", "skip"]
