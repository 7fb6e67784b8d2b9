"""What a run will take, stage by stage, before anything runs; and afterwards how far that was from the truth.

Rows come from `f2llm.config.counts`, memory and time from `f2llm.config.sizing`, so a job asks Slurm for what is said
here.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from f2llm.config.counts import Counts, Rows
from f2llm.config.geometry import weights
from f2llm.config.models import Model
from f2llm.config.shares import embed_jobs, mine_jobs
from f2llm.config.sizing import Cost, Sizes
from f2llm.config.sources import Source
from f2llm.config.variants import encoder_key, tokens_key

STAGES = ("fetch", "models", "normalise", "curate", "embed", "mine", "tokenise", "train", "evaluate", "report")
# Measured on the embedded default (benchmarks/results/estimate.json): within these shares of the truth.
ERRORS = {"rows": 0.05, "disk": 0.25, "memory": 0.25, "cpu": 0.5}
# Parquet of texts (zstd) over their bytes; bytes of a row's ids, of its origins, of a mined tuple.
PACKED, ROW_BYTES, ORIGIN_BYTES, TUPLE_BYTES = 0.42, 24, 20, 96
# Where a source's files are not recorded: their size over that of the texts in them.
RAW = 1.5
VECTOR_BYTES, SCORED_VECTOR_BYTES, TOKEN_BYTES_ON_DISK, WEIGHT_BYTES, TRAINED_BYTES = 2, 4, 4, 4, 12
# Of a text of an evaluation task of mteb, before it is cut.
TASK_TOKENS = 200.0
# Of a drawn task that states no number of rows.
UNSTATED_TEXTS = 200
MB, HOUR, GB_MB = 1e6, 3600.0, 1000.0


class Stage(NamedTuple):
    """One stage: its jobs and how many have run already, rows it makes (queries, or tuples), its cost in all.

    Memory is that of its largest job in MB of 2**20 bytes, disk in MB of 10**6 bytes, processor time in seconds.
    """

    stage: str
    jobs: int
    there: int
    rows: int
    disk_mb: float
    memory_mb: float
    cpu_seconds: float
    wall_seconds: float


class Estimate(NamedTuple):
    """All stages of a run, and sources of whose rows nothing is known."""

    run: str
    stages: tuple[Stage, ...]
    unknown: tuple[str, ...]
    guessed: tuple[str, ...]  # whose rows are a guide: counted under other settings or files

    @property
    def disk_mb(self) -> float:
        """Disk of the whole run."""
        return sum(stage.disk_mb for stage in self.stages)

    @property
    def memory_mb(self) -> float:
        """Memory of its largest job."""
        return max(stage.memory_mb for stage in self.stages)

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all jobs, without Snakemake's own."""
        return sum(stage.cpu_seconds for stage in self.stages)

    @property
    def wall_seconds(self) -> float:
        """Time of the whole run on so many cores, if nobody else uses them."""
        return sum(stage.wall_seconds for stage in self.stages)


class Part(NamedTuple):
    """What `estimate` adds up: a stage's manifests, rows, disk and jobs."""

    stage: str
    manifests: list[str]
    rows: int
    disk_mb: float
    costs: list[Cost]


def estimate(counts: Counts, sizes: Sizes, *, cores: int) -> Estimate:
    """Return what the run of `counts` takes on `cores` cores."""
    run = counts.run
    parts = [
        *_of_sources(counts, sizes), _models(counts, sizes), *_of_trained(counts, sizes), _train(counts, sizes),
        _evaluate(counts, sizes), Part("report", [f"build_report/{run.run}"], 0, 1.0, [Cost(300, 10.0)]),
    ]  # fmt: skip
    jobs = counts.results / "lineage" / "jobs"
    stages = [
        Stage(
            part.stage, len(part.costs), sum((jobs / f"{name}.json").is_file() for name in part.manifests), part.rows,
            part.disk_mb, max((cost.memory_mb for cost in _known(part)), default=0.0),
            sum(cost.seconds for cost in _known(part)), _wall(_known(part), cores=cores),
        )
        for part in parts
    ]  # fmt: skip
    known = {source.name: counts.curated(source) for source in run.sources}
    return Estimate(
        run.run,
        tuple(sorted(stages, key=lambda stage: STAGES.index(stage.stage))),
        tuple(name for name, rows in known.items() if rows is None),
        tuple(name for name, rows in known.items() if rows and rows.how == "about"),
    )


def _known(part: Part) -> list[Cost]:
    """Return the costs that count: what is asked for on behalf of sources of unknown size is no estimate."""
    return [cost for cost in part.costs if cost.known]


def _wall(costs: Iterable[Cost], *, cores: int) -> float:
    """Return the time of a stage: its jobs side by side, and no less than its longest."""
    costs = list(costs)
    longest = max((cost.seconds / min(cost.threads, cores) for cost in costs), default=0.0)
    return max(longest, sum(cost.seconds for cost in costs) / cores)


def _of_sources(counts: Counts, sizes: Sizes) -> list[Part]:
    sources = {source.name: source for source in (*counts.run.sources, *counts.run.heldout_sources)}.values()
    rows = {source.name: counts.normalised(source) for source in sources}
    raw = {source.name: _raw_mb(counts, source, rows[source.name]) for source in sources}
    # One file for all sources that are read out of it.
    places = {source.fetch: raw[source.name] for source in sources}
    normalised = [_table_mb(one) + one.texts * ORIGIN_BYTES / MB for one in rows.values() if one]
    fetch = [Cost(230, 1.0 + 0.02 * raw[source.name]) for source in sources]
    return [
        Part("fetch", [f"fetch_source/{name}" for name in rows], 0, sum(places.values()), fetch),
        Part(
            "normalise", [f"normalise_source/{name}" for name in rows], _queries(rows.values()), sum(normalised),
            [sizes.cost("normalise_source", {"source": name}) for name in rows],
        ),
    ]  # fmt: skip


def _models(counts: Counts, sizes: Sizes) -> Part:
    run = counts.run
    models = {model.name: model for model in (run.backbone, run.retriever, *run.scored_models)}.values()
    shapes = [counts.geometry(model) for model in models]
    # Files of a hub have two bytes a weight.
    stored = [counts.model_files_mb(model) for model in models]
    disk = sum(
        WEIGHT_BYTES * weights(shape) / MB + (2 * weights(shape) / MB if files is None else files)
        for shape, files in zip(shapes, stored, strict=True)
        if shape
    )
    costs = [Cost(450 + 3 * WEIGHT_BYTES * weights(one) / MB, 5 + weights(one) / 2.5e6) for one in shapes if one]
    return Part("models", [f"prepare_model/{model.name}" for model in models], 0, disk, costs)


def _of_trained(counts: Counts, sizes: Sizes) -> list[Part]:
    run, names = counts.run, [source.name for source in counts.run.sources]
    curated = {source.name: counts.curated(source) for source in run.sources}
    tuples = [counts.tuples(source) for source in run.sources]
    shape = counts.geometry(run.retriever)
    width = shape.hidden if shape else 0
    searched = [source for source in run.sources if source.task == "retrieval" and not source.ready]
    texts = sum(rows.texts for source in searched if (rows := curated[source.name]))
    tokens = sum(rows.text_mb for rows in curated.values() if rows) / 4.5
    encoder = encoder_key(run.retriever, max_length=run.mine.max_length)

    def costs(rule: str, count: object = None) -> list[Cost]:
        return [
            sizes.cost(rule, {"source": source.name})
            for source in run.sources
            for _ in range(1 if count is None else count(source))  # type: ignore[operator]
        ]

    def embed(source: Source) -> int:
        return embed_jobs(source, run.mine)

    def mine(source: Source) -> int:
        return mine_jobs(source, run.mine)

    found = _queries(curated.values())
    return [
        Part("curate", [f"curate_source/{counts.curation}/{name}" for name in names], found,
             sum(1.3 * _table_mb(rows) for rows in curated.values() if rows), costs("curate_source")),
        Part("embed", [f"embed_source/{encoder}/{counts.curation}/{name}" for name in names], texts,
             texts * width * VECTOR_BYTES / MB, costs("embed_part", embed)),
        Part("mine", [f"mine_source/{counts.mining}/{name}" for name in names], _queries(tuples),
             _queries(tuples) * TUPLE_BYTES / MB, costs("mine_part", mine)),
        Part("tokenise", [f"tokenise_source/{tokens_key(run)}/{name}" for name in names], found,
             tokens * TOKEN_BYTES_ON_DISK + sum(rows.texts for rows in curated.values() if rows) * 16 / MB,
             costs("tokenise_source")),
    ]  # fmt: skip


def _train(counts: Counts, sizes: Sizes) -> Part:
    run, shape = counts.run, counts.geometry(counts.run.backbone)
    cost, plan = sizes.training(), sizes.cost("plan_run", {})
    disk = 0.0
    if shape:
        whole = weights(shape)
        trained = whole - (shape.vocabulary * shape.hidden if run.train.freeze_embeddings else 0)
        disk = (WEIGHT_BYTES * whole + TRAINED_BYTES * trained) / MB
    return Part("train", [f"plan_run/{run.run}", f"train_model/{run.run}"], sizes.tuples(), disk, [plan, cost])


def _evaluate(counts: Counts, sizes: Sizes) -> Part:
    """Batches of tasks under each network: the run's, its base under two poolings, the retriever, other models."""
    run = counts.run
    networks: list[tuple[Model, int]] = [(run.backbone, 1), (run.backbone, 2)]
    others = dict.fromkeys((run.retriever, *run.scored_models))
    networks += [(model, 1) for model in others if model.format != "vectors"]
    batches: dict[str, float] = {}
    for task in run.benchmark.tasks:
        if run.evaluate.tier in task.tiers:
            drawn = (task.queries or UNSTATED_TEXTS) + (task.passages or 0) + (task.train_texts or 0)
            batch = task.batch or task.name
            batches[batch] = batches.get(batch, 0.0) + (task.mteb.texts if task.mteb else drawn)
    length = min(TASK_TOKENS, 0.75 * run.evaluate.max_length)
    costs = [
        sizes.encoding(model, texts=texts, tokens=texts * length, mteb=True)
        for model, _ in networks
        for texts in batches.values()
    ]
    widths = sum(shape.hidden * poolings for model, poolings in networks if (shape := counts.geometry(model)))
    disk = sum(batches.values()) * widths * SCORED_VECTOR_BYTES / MB
    return Part("evaluate", [], 0, disk + 5.0, costs)


def _raw_mb(counts: Counts, source: Source, rows: Rows | None) -> float:
    found = counts.raw_mb(source)
    return found if found is not None else RAW * rows.text_mb if rows else 0.0


def _table_mb(rows: Rows) -> float:
    return rows.text_mb * PACKED + rows.texts * ROW_BYTES / MB


def _queries(rows: Iterable[Rows | None]) -> int:
    return sum(one.queries for one in rows if one)


def format_stages(found: Estimate, *, cores: int) -> str:
    """Return the stages as a table for a person, with the stated errors."""
    lines = [f"{'stage':<10}{'jobs':>6}{'there':>7}{'rows':>13}{'disk MB':>11}{'memory MB':>11}{'hours':>11}"]
    for stage in found.stages:
        lines.append(
            f"{stage.stage:<10}{stage.jobs:>6}{stage.there:>7}{stage.rows or '':>13}{stage.disk_mb:>11,.1f}"
            f"{stage.memory_mb:>11,.0f}{stage.cpu_seconds / HOUR:>11,.3f}"
        )
    total, hours = sum(stage.jobs for stage in found.stages), found.cpu_seconds / HOUR
    lines.append(f"{'all':<10}{total:>6}{'':>20}{found.disk_mb:>11,.1f}{found.memory_mb:>11,.0f}{hours:>11,.3f}")
    wall = _duration(found.wall_seconds)
    stated = ", ".join(f"{what} {share:.0%}" for what, share in ERRORS.items())
    lines.append(f"time         {wall} on {cores} idle cores; stated errors: {stated}")
    lines.append("             there: jobs that have run before; hours: of a thread, or of a GPU for models")
    if found.guessed:
        lines.append(f"a guide only {', '.join(found.guessed)}: counted with other files or settings")
    if found.unknown:
        lines.append(
            f"not counted  {', '.join(found.unknown)}: nothing is known of their rows (`expected` in a stanza)"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 2 * HOUR:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / HOUR:,.1f} h" if seconds < 48 * HOUR else f"{seconds / HOUR / 24:,.1f} days"


def as_json(found: Estimate) -> Mapping[str, object]:
    """Return an estimate as plain values, for its file."""
    return {"run": found.run, "unknown": list(found.unknown), "guessed": list(found.guessed), "errors": ERRORS,
            "stages": [stage._asdict() for stage in found.stages]}  # fmt: skip


def results_disk_mb(results: str | Path) -> float:
    """Return the size of all files below a folder, hard links counted once, in MB of 10**6 bytes."""
    sizes = {}
    for path in Path(results).rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            sizes[(stat.st_dev, stat.st_ino)] = stat.st_size
    return sum(sizes.values()) / MB
