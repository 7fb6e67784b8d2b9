"""What a run will take, stage by stage, before anything runs: the jobs of each stage, their rows, disk, memory, time.

Rows come from `f2llm.estimate.counts`, memory and time from `f2llm.estimate.sizing`, so a job asks Slurm for what is
said here.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from f2llm.config.geometry import weights
from f2llm.config.run import Run
from f2llm.config.scoring_jobs import jobs
from f2llm.config.sources import Source
from f2llm.config.variants import encoder_key, tokens_key
from f2llm.estimate.counts import TOKEN_BYTES, ExpectedRows, SourceRows
from f2llm.estimate.job_shares import embed_jobs, mine_jobs, task_rows
from f2llm.estimate.rates import LIGHT_MB, LIGHT_SECONDS, MTEB_MB, MTEB_SECONDS
from f2llm.estimate.sizing import TASK_TOKENS, Cost, Sizes

STAGES = ("fetch", "models", "normalise", "curate", "embed", "mine", "tokenise", "train", "evaluate", "report")
# Measured on the embedded default (benchmarks/results/estimate.json): within these shares of the truth.
ERRORS = {"rows": 0.05, "disk": 0.25, "memory": 0.25, "cpu": 0.5}
# Parquet of texts (zstd) over their bytes; bytes of a row's ids, of its origins, of a mined tuple.
PACKED, ROW_BYTES, ORIGIN_BYTES, TUPLE_BYTES = 0.42, 24, 20, 96
# Curated tables, with those of what was removed and of near copies beside them, over the rows that stay.
CURATED = 1.3
# Where a source's files are not recorded: their size over that of the texts in them.
RAW = 1.5
# Of an evaluation task its data and its texts.
TASK_COPIES = 0.8
VECTOR_BYTES, SCORED_VECTOR_BYTES, TOKEN_BYTES_ON_DISK, OFFSET_BYTES = 2, 4, 4, 16
# A weight on disk: as converted, as the hub has it, and trained (with its moments, in checkpoints).
WEIGHT_BYTES, HUB_WEIGHT_BYTES, TRAINED_BYTES = 4, 2, 12
TASK_RULES = {"mteb": ("fetch_task", "check_task"), "local": ("build_local_task",), "drawn": ("build_task",)}
MB = 1e6


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
    probed: tuple[str, ...] = ()  # whose files, and as far as it can tell rows, are those that a probe saw

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
        """Time of the whole run on the cores that were asked for, if nobody else uses them."""
        return sum(stage.wall_seconds for stage in self.stages)


class Unit(NamedTuple):
    """The jobs that make one thing, its rows and its disk: `estimate` adds these up."""

    rows: int
    disk_mb: float
    costs: list[Cost]


Units = dict[tuple[str, str], Unit]  # (stage, manifest below lineage/jobs) -> what it takes


def estimate(sizes: Sizes, *, cores: int) -> Estimate:
    """Stages of a run on `cores` cores."""
    return _summed(sizes.expected, _units(sizes), cores=cores)


def estimate_changed(first: Sizes, changed: Iterable[Sizes], *, cores: int) -> Estimate:
    """Stages that the changed runs of an ablation add to the first run: what runs share is made once."""
    shared, units = _units(first), Units()
    for sizes in changed:
        units |= _units(sizes)
    return _summed(first.expected, {key: unit for key, unit in units.items() if key not in shared}, cores=cores)


def as_json(whole: Estimate) -> Mapping[str, object]:
    """An estimate as plain values, for its file."""
    return {
        "run": whole.run,
        "unknown": list(whole.unknown),
        "guessed": list(whole.guessed),
        "errors": ERRORS,
        "stages": [stage._asdict() for stage in whole.stages],
    }


def _units(sizes: Sizes) -> Units:
    units = _source_units(sizes) | _model_units(sizes.expected) | _trained_source_units(sizes)
    units |= _training_units(sizes) | _evaluation_units(sizes) | _task_units(sizes.run)
    return units | {("report", f"build_report/{sizes.run.run}"): Unit(0, 1.0, [Cost(300, 10.0)])}


def _summed(expected: ExpectedRows, units: Units, *, cores: int) -> Estimate:
    manifests = expected.results / "lineage" / "jobs"
    stages = []
    for name in STAGES:
        of_stage = {manifest: unit for (stage, manifest), unit in units.items() if stage == name}
        costs = [cost for unit in of_stage.values() for cost in unit.costs]
        # What Slurm is asked for on behalf of sources of unknown size is no estimate.
        known = [cost for cost in costs if cost.known]
        stages.append(
            Stage(
                stage=name,
                jobs=len(costs),
                there=sum((manifests / f"{manifest}.json").is_file() for manifest in of_stage),
                rows=sum(unit.rows for unit in of_stage.values()),
                disk_mb=sum(unit.disk_mb for unit in of_stage.values()),
                memory_mb=max((cost.memory_mb for cost in known), default=0.0),
                cpu_seconds=sum(cost.seconds for cost in known),
                wall_seconds=_wall_seconds(known, cores=cores),
            )
        )
    rows = {source.name: expected.curated(source) for source in expected.run.sources}
    return Estimate(
        run=expected.run.run,
        stages=tuple(stages),
        unknown=tuple(name for name, source_rows in rows.items() if source_rows is None),
        guessed=tuple(name for name, source_rows in rows.items() if source_rows and source_rows.how == "about"),
        probed=tuple(
            source.name
            for source in expected.run.sources
            if expected.probed(source) and getattr(rows[source.name], "how", "") not in ("table", "recorded")
        ),
    )


def _wall_seconds(costs: list[Cost], *, cores: int) -> float:
    """Time of a stage: its jobs side by side, and no less than its longest."""
    longest = max((cost.seconds / min(cost.threads, cores) for cost in costs), default=0.0)
    return max(longest, sum(cost.seconds for cost in costs) / cores)


def _source_units(sizes: Sizes) -> Units:
    """Fetching and reading of all sources, scored ones included."""
    expected, units = sizes.expected, Units()
    sources = (*sizes.run.sources, *sizes.run.heldout_sources)
    raw = {source.name: _raw_mb(expected, source) for source in sources}
    # Sources that are read out of the same files have them once.
    file_mb: dict[object, float] = {}
    for source in sources:
        file_mb[source.fetch] = max(file_mb.get(source.fetch, 0.0), raw[source.name])
    for source in sources:
        rows, fetch = expected.normalised(source), Cost(230, 1.0 + 0.02 * raw[source.name])
        units["fetch", f"fetch_source/{source.name}"] = Unit(0, file_mb.pop(source.fetch, 0.0), [fetch])
        table_mb = _table_mb(rows) + rows.texts * ORIGIN_BYTES / MB if rows else 0.0
        cost = sizes.cost("normalise_source", {"source": source.name})
        units["normalise", f"normalise_source/{source.name}"] = Unit(rows.queries if rows else 0, table_mb, [cost])
    return units


def _model_units(expected: ExpectedRows) -> Units:
    run, units = expected.run, Units()
    for model in (run.backbone, run.retriever, *run.scored_models):
        files_mb, geometry, disk_mb, costs = expected.model_files_mb(model), expected.geometry(model), 0.0, []
        if geometry:
            millions = weights(geometry) / MB
            disk_mb = WEIGHT_BYTES * millions + (HUB_WEIGHT_BYTES * millions if files_mb is None else files_mb)
            costs = [Cost(450 + 3 * WEIGHT_BYTES * millions, 5 + weights(geometry) / 2.5e6)]
        units["models", f"prepare_model/{model.name}"] = Unit(0, disk_mb, costs)
    return units


def _trained_source_units(sizes: Sizes) -> Units:
    """Curation, vectors, tuples and tokens of the sources that are trained on."""
    run, expected, units = sizes.run, sizes.expected, Units()
    width = expected.width(run.retriever)
    encoder = encoder_key(run.retriever, max_length=run.mine.max_length)
    for source in run.sources:
        rows, mined = expected.curated(source), expected.tuples(source)
        rows = rows or SourceRows(0, 0, 0.0, 0.0, "about")
        tuples, searched = mined.queries if mined else 0, rows.texts * source.searched
        unit, folder = {"source": source.name}, f"{expected.curation}/{source.name}"
        units["curate", f"curate_source/{folder}"] = Unit(
            rows.queries, CURATED * _table_mb(rows), [sizes.cost("curate_source", unit)]
        )
        units["embed", f"embed_source/{encoder}/{folder}"] = Unit(
            searched,
            searched * width * VECTOR_BYTES / MB,
            [sizes.cost("embed_part", unit)] * embed_jobs(source, run.mine),
        )
        units["mine", f"mine_source/{expected.mining}/{source.name}"] = Unit(
            tuples, tuples * TUPLE_BYTES / MB, [sizes.cost("mine_part", unit)] * mine_jobs(source, run.mine)
        )
        units["tokenise", f"tokenise_source/{tokens_key(run)}/{source.name}"] = Unit(
            rows.queries,
            rows.text_mb / TOKEN_BYTES * TOKEN_BYTES_ON_DISK + rows.texts * OFFSET_BYTES / MB,
            [sizes.cost("tokenise_source", unit)],
        )
    return units


def _training_units(sizes: Sizes) -> Units:
    run, geometry, disk_mb = sizes.run, sizes.expected.geometry(sizes.run.backbone), 0.0
    if geometry:
        frozen = geometry.vocabulary * geometry.hidden if run.train.freeze_embeddings else 0
        disk_mb = (WEIGHT_BYTES * weights(geometry) + TRAINED_BYTES * (weights(geometry) - frozen)) / MB
    return {
        ("train", f"plan_run/{run.run}"): Unit(0, 0.0, [sizes.cost("plan_run", {})]),
        ("train", f"train_model/{run.run}"): Unit(sizes.tuples(), disk_mb, [sizes.cost("train_model", {})]),
    }


def _evaluation_units(sizes: Sizes) -> Units:
    """Scoring of all tasks by each network: the run's, its base under two poolings, the retriever, other models."""
    run, units = sizes.run, Units()
    models = {
        f"results/models/{model.name}/model": model for model in (run.backbone, run.retriever, *run.scored_models)
    }
    for job in jobs(run):
        model, first = models.get(job.folder, run.backbone), job.candidates[0].name
        geometry = sizes.expected.geometry(model)
        width = geometry.hidden * len({candidate.pooling for candidate in job.candidates}) if geometry else 0
        if job.batch:
            groups = {f"{job.name}/{first}": job.tasks}
        else:
            groups = {f"{job.name}/{first}/{task.name}": (task,) for task in job.tasks}
        for manifest, tasks in groups.items():
            texts = sum(map(task_rows, tasks))
            disk_mb = texts * width * SCORED_VECTOR_BYTES / MB
            units["evaluate", manifest] = Unit(0, disk_mb, [sizes.scoring(model, texts=texts)])
    units["evaluate", f"build_scoreboard/{run.run}"] = Unit(0, 5.0, [])
    return units


def _task_units(run: Run) -> Units:
    """Data of the tasks: fetched and checked, or made of sources or of local files."""
    units = Units()
    for task in run.benchmark.tasks:
        if run.evaluate.tier in task.tiers:
            disk_mb = TASK_COPIES * task_rows(task) * TASK_TOKENS * TOKEN_BYTES / MB
            for rule in TASK_RULES[task.kind]:
                checks = rule == "check_task"
                cost = Cost(MTEB_MB, MTEB_SECONDS) if checks else Cost(LIGHT_MB, LIGHT_SECONDS)
                units["evaluate", f"{rule}/{task.name}"] = Unit(0, 0.0 if checks else disk_mb, [cost])
    return units


def _raw_mb(expected: ExpectedRows, source: Source) -> float:
    rows, raw_mb = expected.normalised(source), expected.raw_mb(source)
    return raw_mb if raw_mb is not None else RAW * rows.text_mb if rows else 0.0


def _table_mb(rows: SourceRows) -> float:
    return rows.text_mb * PACKED + rows.texts * ROW_BYTES / MB
