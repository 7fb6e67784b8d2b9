"""Settings of the energy estimate. Meaning, units and defaults: workflow/schemas/config/energy.schema.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Energy:
    """What the estimate of a run's energy takes for known; it decides nothing but that estimate."""

    watts_per_core: float
    watts_per_gb: float
    watts_per_gpu: float
    overhead: float
    grams_per_kwh: float
