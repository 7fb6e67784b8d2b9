"""What a run will take, stage by stage, before anything runs; and afterwards how far that was from the truth.

Rows come from `f2llm.estimate.counts`, memory and time from `f2llm.estimate.sizing`, so a job asks Slurm for what is
said here.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from f2llm.config.candidates import jobs
from f2llm.config.geometry import weights
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.config.variants import encoder_key, tokens_key
from f2llm.estimate.counts import TOKEN_BYTES, Counts, Rows
from f2llm.estimate.shares import embed_jobs, mine_jobs
from f2llm.estimate.sizing import LIGHT_MB, LIGHT_SECONDS, MTEB_MB, MTEB_SECONDS, TASK_TOKENS, Cost, Sizes
from f2llm.estimate.task_rows import task_rows

STAGES = ("fetch", "models", "normalise", "curate", "embed", "mine", "tokenise", "train", "evaluate", "report")
# Measured on the embedded default (benchmarks/results/estimate.json): within these shares of the truth.
ERRORS = {"rows": 0.05, "disk": 0.25, "memory": 0.25, "cpu": 0.5}
# Parquet of texts (zstd) over their bytes; bytes of a row's ids, of its origins, of a mined tuple.
PACKED, ROW_BYTES, ORIGIN_BYTES, TUPLE_BYTES = 0.42, 24, 20, 96
# Where a source's files are not recorded: their size over that of the texts in them.
RAW = 1.5
# Of an evaluation task its data and its texts.
TASK_COPIES = 0.8
VECTOR_BYTES, SCORED_VECTOR_BYTES, TOKEN_BYTES_ON_DISK, WEIGHT_BYTES, TRAINED_BYTES = 2, 4, 4, 4, 12
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


class Unit(NamedTuple):
    """What `estimate` adds up: the jobs that make one thing, the rows and the disk of it."""

    rows: int
    disk_mb: float
    costs: list[Cost]


Units = dict[tuple[str, str], Unit]  # (stage, manifest below lineage/jobs) -> what it takes


def estimate(counts: Counts, sizes: Sizes, *, cores: int) -> Estimate:
    """Return what the run of `counts` takes on `cores` cores."""
    return _summed(counts, _units(counts, sizes), cores=cores)


def estimate_changed(first: tuple[Counts, Sizes], changed: Iterable[tuple[Counts, Sizes]], *, cores: int) -> Estimate:
    """Return what the changed runs of an ablation take on top of the first run: what they share is made once."""
    shared, units = _units(*first), Units()
    for counts, sizes in changed:
        units |= _units(counts, sizes)
    return _summed(first[0], {key: unit for key, unit in units.items() if key not in shared}, cores=cores)


def _units(counts: Counts, sizes: Sizes) -> Units:
    return {
        **_of_sources(counts, sizes), **_models(counts), **_of_trained(counts, sizes), **_train(counts, sizes),
        **_evaluate(counts, sizes), ("report", f"build_report/{counts.run.run}"): Unit(0, 1.0, [Cost(300, 10.0)]),
    }  # fmt: skip


def _summed(counts: Counts, units: Units, *, cores: int) -> Estimate:
    jobs = counts.results / "lineage" / "jobs"
    stages = []
    for name in STAGES:
        own = {manifest: unit for (stage, manifest), unit in units.items() if stage == name}
        costs = [cost for unit in own.values() for cost in unit.costs]
        # What is asked for on behalf of sources of unknown size is no estimate.
        known = [cost for cost in costs if cost.known]
        stages.append(
            Stage(
                name, len(costs), sum((jobs / f"{manifest}.json").is_file() for manifest in own),
                sum(unit.rows for unit in own.values()), sum(unit.disk_mb for unit in own.values()),
                max((cost.memory_mb for cost in known), default=0.0), sum(cost.seconds for cost in known),
                _wall(known, cores=cores),
            )
        )  # fmt: skip
    rows = {source.name: counts.curated(source) for source in counts.run.sources}
    return Estimate(
        counts.run.run,
        tuple(stages),
        tuple(name for name, found in rows.items() if found is None),
        tuple(name for name, found in rows.items() if found and found.how == "about"),
    )


def _wall(costs: Iterable[Cost], *, cores: int) -> float:
    """Return the time of a stage: its jobs side by side, and no less than its longest."""
    costs = list(costs)
    longest = max((cost.seconds / min(cost.threads, cores) for cost in costs), default=0.0)
    return max(longest, sum(cost.seconds for cost in costs) / cores)


def _of_sources(counts: Counts, sizes: Sizes) -> Units:
    sources, units = (*counts.run.sources, *counts.run.heldout_sources), Units()
    raw = {source.name: _raw_mb(counts, source, counts.normalised(source)) for source in sources}
    # One file for all sources that are read out of it.
    places: dict[object, float] = {}
    for source in sources:
        places[source.fetch] = max(places.get(source.fetch, 0.0), raw[source.name])
    for source in sources:
        rows, fetch = counts.normalised(source), [Cost(230, 1.0 + 0.02 * raw[source.name])]
        units["fetch", f"fetch_source/{source.name}"] = Unit(0, places.pop(source.fetch, 0.0), fetch)
        table = _table_mb(rows) + rows.texts * ORIGIN_BYTES / MB if rows else 0.0
        cost = sizes.cost("normalise_source", {"source": source.name})
        units["normalise", f"normalise_source/{source.name}"] = Unit(rows.queries if rows else 0, table, [cost])
    return units


def _models(counts: Counts) -> Units:
    run, units = counts.run, Units()
    for model in (run.backbone, run.retriever, *run.scored_models):
        files, shape, disk, costs = counts.model_files_mb(model), counts.geometry(model), 0.0, []
        if shape:
            whole = weights(shape) / MB
            # Files of a hub have two bytes a weight.
            disk = WEIGHT_BYTES * whole + (2 * whole if files is None else files)
            costs = [Cost(450 + 3 * WEIGHT_BYTES * whole, 5 + weights(shape) / 2.5e6)]
        units["models", f"prepare_model/{model.name}"] = Unit(0, disk, costs)
    return units


def _of_trained(counts: Counts, sizes: Sizes) -> Units:
    run, units = counts.run, Units()
    shape = counts.geometry(run.retriever)
    width = shape.hidden if shape else 0
    encoder = encoder_key(run.retriever, max_length=run.mine.max_length)
    for source in run.sources:
        rows, tuples = counts.curated(source), counts.tuples(source)
        queries, texts, text_mb = (rows.queries, rows.texts, rows.text_mb) if rows else (0, 0, 0.0)
        found, searched = tuples.queries if tuples else 0, texts * (source.task == "retrieval" and not source.ready)
        table = 1.3 * _table_mb(rows) if rows else 0.0
        tokens = text_mb / 4.5 * TOKEN_BYTES_ON_DISK + texts * 16 / MB
        costs = {
            rule: [sizes.cost(rule, {"source": source.name})] * jobs
            for rule, jobs in (
                ("curate_source", 1), ("embed_part", embed_jobs(source, run.mine)),
                ("mine_part", mine_jobs(source, run.mine)), ("tokenise_source", 1),
            )
        }  # fmt: skip
        own = f"{counts.curation}/{source.name}"
        vectors = searched * width * VECTOR_BYTES / MB
        units |= {
            ("curate", f"curate_source/{own}"): Unit(queries, table, costs["curate_source"]),
            ("embed", f"embed_source/{encoder}/{own}"): Unit(searched, vectors, costs["embed_part"]),
            ("mine", f"mine_source/{counts.mining}/{source.name}"): Unit(
                found, found * TUPLE_BYTES / MB, costs["mine_part"]
            ),
            ("tokenise", f"tokenise_source/{tokens_key(run)}/{source.name}"): Unit(
                queries, tokens, costs["tokenise_source"]
            ),
        }
    return units


def _train(counts: Counts, sizes: Sizes) -> Units:
    run, shape = counts.run, counts.geometry(counts.run.backbone)
    disk = 0.0
    if shape:
        whole = weights(shape)
        trained = whole - (shape.vocabulary * shape.hidden if run.train.freeze_embeddings else 0)
        disk = (WEIGHT_BYTES * whole + TRAINED_BYTES * trained) / MB
    return {
        ("train", f"plan_run/{run.run}"): Unit(0, 0.0, [sizes.cost("plan_run", {})]),
        ("train", f"train_model/{run.run}"): Unit(sizes.tuples(), disk, [sizes.training()]),
    }


def _evaluate(counts: Counts, sizes: Sizes) -> Units:
    """The jobs of tasks under each network: the run's, its base under two poolings, the retriever, other models."""
    run, units = counts.run, Units()
    models = {
        f"results/models/{model.name}/model": model for model in (run.backbone, run.retriever, *run.scored_models)
    }
    for job in jobs(run):
        model, first = models.get(job.folder, run.backbone), job.candidates[0].name
        shape = counts.geometry(model)
        width = shape.hidden * len({one.pooling for one in job.candidates}) if shape else 0
        groups = [(f"{job.name}/{first}", job.tasks)] if job.batch else []
        groups += [] if job.batch else [(f"{job.name}/{first}/{task.name}", (task,)) for task in job.tasks]
        for manifest, tasks in groups:
            texts = sum(map(task_rows, tasks))
            disk = texts * width * SCORED_VECTOR_BYTES / MB
            units["evaluate", manifest] = Unit(0, disk, [sizes.scoring(model, texts=texts)])
    units["evaluate", f"build_scoreboard/{run.run}"] = Unit(0, 5.0, [])
    return units | _task_data(run)


def _task_data(run: Run) -> Units:
    """Data of the tasks: fetched and checked, or made of sources or of files of one's own."""
    units = Units()
    for task in run.benchmark.tasks:
        if run.evaluate.tier in task.tiers:
            disk = TASK_COPIES * task_rows(task) * TASK_TOKENS * TOKEN_BYTES / MB
            rules = {"mteb": ("fetch_task", "check_task"), "local": ("build_local_task",), "drawn": ("build_task",)}
            for number, rule in enumerate(rules[task.kind]):
                cost = Cost(MTEB_MB, MTEB_SECONDS) if rule == "check_task" else Cost(LIGHT_MB, LIGHT_SECONDS)
                units["evaluate", f"{rule}/{task.name}"] = Unit(0, 0.0 if number else disk, [cost])
    return units


def _raw_mb(counts: Counts, source: Source, rows: Rows | None) -> float:
    found = counts.raw_mb(source)
    return found if found is not None else RAW * rows.text_mb if rows else 0.0


def _table_mb(rows: Rows) -> float:
    return rows.text_mb * PACKED + rows.texts * ROW_BYTES / MB


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
    lines.append(f"time         {wall} on {cores} idle cores; stated errors of the whole: {stated}")
    lines.append("             there: jobs that have run before; hours: of a thread, or of a GPU for models")
    if found.guessed:
        lines.append(f"a guide only {', '.join(found.guessed)}: counted with other files or settings")
    if found.unknown:
        lines.append(
            f"not counted  {', '.join(found.unknown)}: nothing is known of their rows (`expected` in a stanza)"
        )
    return "\n".join(lines)


def format_changed(found: Estimate, *, runs: int, cores: int) -> str:
    """Return what an ablation takes on top of its run, as a line for a person."""
    jobs, hours = sum(stage.jobs for stage in found.stages), found.cpu_seconds / HOUR
    return (
        f"ablate       {runs} changed runs: {jobs} more jobs, {found.disk_mb:,.1f} MB, {hours:,.3f} hours, "
        f"{_duration(found.wall_seconds)} on {cores} idle cores; what runs share is made once"
    )


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
