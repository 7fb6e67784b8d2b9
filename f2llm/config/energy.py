"""Settings of the energy estimate. Meaning, units and defaults: workflow/schemas/config.schema.yaml."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Energy:
    """What the estimate of a run's energy takes for known; it decides nothing but that estimate.

    Defaults are those of Green Algorithms (doi 10.1002/advs.202100707), but for the GPU: the rated power
    of an NVIDIA H100 SXM by its data sheet.
    """

    watts_per_core: float = 12.0
    watts_per_gb: float = 0.3725  # of memory in use
    watts_per_gpu: float = 700.0
    overhead: float = 1.67  # of the data centre: all its energy over that of its computers (PUE)
    grams_per_kwh: float = 475.0  # CO2 equivalents of the grid; the default is the world's average of 2019
