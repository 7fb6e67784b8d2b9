"""The configuration of a run, stage by stage. Meaning, units and defaults: workflow/schemas/config.schema.yaml."""

from dataclasses import dataclass, replace

from f2llm.config.ablations import Change
from f2llm.config.benchmarks import Benchmark
from f2llm.config.exclusions import Exclusion
from f2llm.config.licences import Barred
from f2llm.config.models import Model
from f2llm.config.sources import Source


@dataclass(frozen=True, kw_only=True)
class Near:
    """Near-duplicate policy (numbers: docs/curation.md)."""

    policy: str  # off | report | drop
    min_words: int
    threshold: float
    report_threshold: float
    permutations: int
    bands: int
    guard: bool


@dataclass(frozen=True, kw_only=True)
class Decontaminate:
    """Policy against the run's own evaluation texts."""

    policy: str  # off | report | drop
    containment: float
    min_words: int
    missing: str  # fail | allow
    texts: tuple[str, ...]
    query_like: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Across:
    """Policy for queries that several sources have."""

    policy: str  # off | report | drop


@dataclass(frozen=True, kw_only=True)
class Curate:
    """Settings of the curate stage."""

    near: Near
    decontaminate: Decontaminate
    across: Across
    memory_mb: int


@dataclass(frozen=True, kw_only=True)
class Index:
    """How candidates are found: all passages compared, or an approximate index of faiss."""

    kind: str  # flat (exact) | ivf (inverted lists) | hnsw (graph)
    lists: int  # ivf: clusters
    probes: int  # ivf: clusters that a query visits
    links: int  # hnsw: neighbours of a passage
    build_breadth: int  # hnsw: candidates while building
    search_breadth: int  # hnsw: candidates while searching
    recall_sample: int  # queries that are also searched exactly, to state the recall


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A folder of rows made elsewhere, to be matched against the benchmark."""

    path: str
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Mine:
    """Settings of the mine stage (F2LLM, arXiv 2510.02294, section on hard negatives); None: no such bound."""

    max_length: int
    window: int
    skip: int
    skip_order: str  # after_filter | before_filter
    max_score: float | None
    min_score: float | None
    relative_margin: float | None
    absolute_margin: float | None
    strict: bool  # a score equal to an upper bound is filtered
    sampling: str  # top | random
    negatives: int
    least_negatives: int | None  # None: as many as `negatives`
    several_positives: str  # min | own
    positives: str  # all | best
    positive_max_rank: int | None
    positive_min_score: float | None
    exclude_copies: bool
    exclude_own_text: bool
    index: Index
    backend: str  # auto | faiss | torch
    device: str  # auto | cpu | cuda
    block_rows: int | None  # None: what suits the device
    texts_per_job: int
    queries_per_job: int
    min_kept: int

    @property
    def least(self) -> int:
        """Hard negatives below which a pair is dropped."""
        return self.negatives if self.least_negatives is None else self.least_negatives


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Lengths that training texts are cut to, in tokens with EOS."""

    query_max_length: int
    passage_max_length: int


@dataclass(frozen=True, kw_only=True)
class LossTerm:
    """One term of the loss and its weight."""

    term: str  # a name of f2llm.train.losses.TERMS
    weight: float


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The first so many components of the vectors, and the weight of the loss on them."""

    dimensions: int
    weight: float


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank additions that are trained instead of the weights (arXiv 2106.09685)."""

    rank: int
    alpha: float
    targets: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What of each source is held out of training, and when the loss on it is taken."""

    share: float
    every: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Train:
    """Settings of the train stage."""

    recipe: str  # default | f2llm
    steps: int | None  # or epochs, exactly one of the two
    epochs: int | None
    batch_size: int
    batches_per_step: int
    partial_batches: str  # even | repeat
    negatives: int
    negatives_drawn: str  # per_tuple | per_batch
    temperature: float
    losses: tuple[LossTerm, ...]
    matryoshka: tuple[Cut, ...]
    passage_gradient: str  # full | none
    mask_equal_positives: bool
    loss_precision: str  # float32 | model
    learning_rate: float
    warmup_steps: int
    warmup_ticks: int
    first_step_at_zero: bool
    min_lr_ratio: float
    weight_decay: float
    decay_vectors: bool
    betas: tuple[float, float]
    clip_norm: float
    freeze_embeddings: bool
    lora: Lora | None
    precision: str  # auto | float32 | bfloat16
    compile: bool
    tokens_per_chunk: int
    activations_mb: int | None
    reshard_after_forward: bool
    checkpoint_every: int
    keep_checkpoints: int
    keep_every: int | None
    validation: Validation
    threads: int
    processes: int
    nodes: int


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


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A source that is trained on, and published tuples of it."""

    source: str
    released: Source


@dataclass(frozen=True, kw_only=True)
class Run:
    """A whole run: everything that decides its bytes, and nothing of where it runs."""

    run: str
    seed: int
    on_source_error: str  # fail | skip
    licences: str  # any | stated | commercial
    barred: tuple[Barred, ...]  # sources of the config that this policy keeps out
    sources: tuple[Source, ...]  # trained on
    heldout_sources: tuple[Source, ...]  # only scored on
    compare: tuple[Comparison, ...]
    backbone: Model
    retriever: Model
    benchmark: Benchmark
    audit: dict[str, Audit]
    scored_models: tuple[Model, ...] = ()  # those of evaluate.models
    ablate: tuple[Change, ...] = ()  # runs beside this one that differ in one thing each
    exclude: tuple[Exclusion, ...] = ()  # what of the sources must not be used
    trained_datasets: tuple[str, ...] = ()  # mteb's names of what the run is trained on (config/mteb/datasets.yaml)
    curate: Curate
    mine: Mine
    tokens: Tokens
    train: Train
    evaluate: Evaluate
    energy: Energy = Energy()

    def curation_of(self, source: Source) -> Curate:
        """Return the curation settings of one source: those of the run, but for what its stanza says."""
        changes = {part: replace(getattr(self.curate, part), **own) for part, own in source.curate.items()}
        return replace(self.curate, **changes)

    @property
    def stanzas(self) -> tuple[Source, ...]:
        """All sources of the run: trained on, scored on, compared with."""
        return *self.sources, *self.heldout_sources, *(pair.released for pair in self.compare)
