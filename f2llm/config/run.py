"""The configuration of a run, stage by stage. Meaning, units and defaults: workflow/schemas/config.schema.yaml."""

from dataclasses import dataclass, replace
from typing import Literal

from f2llm.config.ablations import Change
from f2llm.config.benchmarks import Benchmark
from f2llm.config.curate import Audit, Curate
from f2llm.config.evaluate import Evaluate
from f2llm.config.exclusions import Exclusion
from f2llm.config.mine import Mine
from f2llm.config.models import Model
from f2llm.config.rights import Barred
from f2llm.config.sources import Source
from f2llm.config.tokens import Tokens
from f2llm.config.train import Train


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A source that is trained on, and published tuples of it."""

    source: str
    released: Source


@dataclass(frozen=True, kw_only=True)
class Energy:
    """What the estimate of a run's energy takes for known; it decides nothing but that estimate."""

    watts_per_core: float
    watts_per_gb: float
    watts_per_gpu: float
    overhead: float
    grams_per_kwh: float


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole run: everything that decides its bytes."""

    run: str
    seed: int
    on_source_error: Literal["fail", "skip"]
    licences: Literal["any", "stated", "commercial"]
    barred: tuple[Barred, ...]  # sources of the config that this policy keeps out
    sources: tuple[Source, ...]  # trained on
    heldout_sources: tuple[Source, ...]  # only scored on
    compare: tuple[Comparison, ...]
    backbone: Model
    retriever: Model
    benchmark: Benchmark
    audit: dict[str, Audit]
    scored_models: tuple[Model, ...]  # those of evaluate.models
    ablate: tuple[Change, ...]  # runs beside this one that differ in one thing each
    exclude: tuple[Exclusion, ...]
    trained_datasets: tuple[str, ...]  # mteb's names of what the run is trained on (config/mteb/datasets.yaml)
    curate: Curate
    mine: Mine
    tokens: Tokens
    train: Train
    evaluate: Evaluate
    energy: Energy

    def curation_of(self, source: Source) -> Curate:
        """Curation settings of one source: those of the run, changed as its stanza says."""
        parts = {part: replace(getattr(self.curate, part), **keys) for part, keys in source.curate.items()}
        return replace(self.curate, **parts)

    @property
    def stanzas(self) -> tuple[Source, ...]:
        """All sources of the run: trained on, scored on, compared with."""
        return *self.sources, *self.heldout_sources, *(pair.released for pair in self.compare)
