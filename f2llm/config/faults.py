"""Checks that need several settings or stanzas at once, which a schema cannot say.

Settings come with their defaults and without the values that the schema refuses, so a key that is missing has been
reported already. Stanzas with faults are None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Benchmark, Task
from f2llm.config.models import LOCK, Model, known_geometry
from f2llm.config.sources import Source
from f2llm.config.stanzas import NamedStanzas
from f2llm.records.files import read_json

INSTRUCTION = "{instruction}"


def faults_between(settings: Mapping[str, Any], stanzas: NamedStanzas, *, where: str) -> list[str]:
    """All faults of a config that lie between its settings and stanzas, one line each; `where` names the config."""
    curate, mine, train, evaluate = (settings.get(stage, {}) for stage in ("curate", "mine", "train", "evaluate"))
    near, backbone, benchmark = curate.get("near", {}), stanzas.backbone, stanzas.benchmark
    sources, tasks = [source for source in stanzas.sources if source], benchmark.tasks if benchmark else ()
    faults = [
        *comparison_faults(stanzas.released, names=settings.get("sources", ())),
        *repeated((repr(name) for name in settings.get("sources", ()) if name), key="sources"),
        *source_faults(sources),
        *drawn_task_faults(tasks, trained=sources, heldout=[source for source in stanzas.heldout if source]),
        *near_faults(near),
        *backbone_faults(backbone),
        *scored_model_faults(stanzas.scored),
        *instruction_faults(tasks, [backbone, stanzas.retriever, *stanzas.scored]),
        *tier_faults(benchmark, tier=evaluate.get("tier")),
        *folder_faults(tasks, leaderboard=evaluate.get("leaderboard")),
        *cut_faults(evaluate, backbone),
        *length_faults(train),
        *repeated((item.get("term") for item in train.get("losses", ()) if item), key="train.losses"),
        *repeated((item.get("dimensions") for item in train.get("matryoshka", ()) if item), key="train.matryoshka"),
        *negatives_faults(sources, train=train, mine=mine),
        *matryoshka_faults(train, backbone),
        *mining_faults(mine),
    ]
    return [f"{where}: {fault}" for fault in faults] + [
        f"sources/{source.name}.yaml: {fault}"
        for source in sources
        if "near" in source.curate
        for fault in near_faults({**near, **source.curate["near"]})
    ]


def repeated(items: Iterable[object], *, key: str) -> Iterator[str]:
    """Values that a list holds twice."""
    values = [value for value in items if value is not None]
    for value in dict.fromkeys(values):
        if values.count(value) > 1:
            yield f"{key}: {value} is listed twice; list it once"


def comparison_faults(released: Mapping[str, Source | None], *, names: Sequence[str]) -> Iterator[str]:
    """Faults of `compare`: only trained sources are compared, and only with ready tuples."""
    for name, stanza in released.items():
        if name not in names:
            yield f"compare: {name!r} is not among `sources`; only what is trained on has tuples"
        if stanza and (not stanza.ready or stanza.held_out):
            yield (
                f"compare: {stanza.name!r} holds no ready tuples; say `ready: true` and `held_out: false` in its stanza"
            )


def source_faults(sources: Sequence[Source]) -> Iterator[str]:
    """Sources of the config whose stanzas forbid training on them."""
    for source in sources:
        if not source.train:
            yield f"sources: {source.name!r} must not be trained on (train: false in its stanza); take it out"


def drawn_task_faults(tasks: Sequence[Task], *, trained: Sequence[Source], heldout: Sequence[Source]) -> Iterator[str]:
    """Tasks and the sources that they are drawn from: rows that were trained on, no rows, another type."""
    trained_names = {source.name for source in trained}
    sources = {source.name: source for source in (*trained, *heldout)}
    for task in tasks:
        source = sources.get(task.source)
        if source is None:
            continue
        if task.split == "all" and source.name in trained_names:
            yield (
                f"benchmark task {task.name!r} takes all rows of {source.name!r}, which is trained on; "
                "use split: test there, or take the source out"
            )
        if task.split != "all" and not source.held_out:
            yield (
                f"benchmark task {task.name!r} takes the {task.split} rows of {source.name!r}, which holds none out "
                "(held_out: false in its stanza); change one of the two"
            )
        if source.task != task.type:
            yield (
                f"benchmark task {task.name!r} is {task.type}, its source {source.name!r} is {source.task}; "
                "make them agree"
            )


def near_faults(near: Mapping[str, Any]) -> Iterator[str]:
    """Settings of near-duplicates that do not fit together."""
    bands, permutations, report, threshold = map(near.get, ("bands", "permutations", "report_threshold", "threshold"))
    if bands and permutations and permutations % bands:
        yield f"curate.near: {bands} bands do not divide {permutations} permutations; change one"
    if report and threshold and report > threshold:
        yield f"curate.near: report_threshold {report} is above threshold {threshold}; lower it"


def backbone_faults(backbone: Model | None) -> Iterator[str]:
    """What a model has that cannot be trained."""
    if backbone and backbone.passage_prompt:
        yield (
            f"backbone: {backbone.name!r} puts {backbone.passage_prompt!r} before passages, which training does not; "
            "choose another model, or score it in evaluate.models"
        )
    if backbone and backbone.format == "vectors":
        yield f"backbone: {backbone.name!r} holds vectors, no weights; name a model that can be trained"


def scored_model_faults(scored: Sequence[Model | None]) -> Iterator[str]:
    """Models of `evaluate.models` that cannot encode texts."""
    for model in scored:
        if model and model.format == "vectors":
            yield (
                f"evaluate.models: {model.name!r} is made of ready vectors, it cannot read the benchmark's texts; "
                "take it out"
            )


def instruction_faults(tasks: Sequence[Task], models: Sequence[Model | None]) -> Iterator[str]:
    """Tasks of local files without the instruction that prompts of scored models ask for."""
    asking = sorted({m.name for m in models if m and INSTRUCTION in m.query_prompt + m.passage_prompt})
    for task in tasks:
        if asking and task.data and not task.instruction:
            yield (
                f"benchmark task {task.name!r} has no instruction, and {', '.join(asking)} fill one into their "
                "prompt; give it an `instruction`"
            )


def tier_faults(benchmark: Benchmark | None, *, tier: str | None) -> Iterator[str]:
    """A tier without tasks."""
    if tier and benchmark and benchmark.tasks and not any(tier in task.tiers for task in benchmark.tasks):
        yield f"evaluate.tier: no task of {benchmark.name!r} is of tier {tier!r}; choose another"


def folder_faults(tasks: Sequence[Task], *, leaderboard: str | None) -> Iterator[str]:
    """Folders of published results and of local tasks that do not exist."""
    if leaderboard and not Path(leaderboard).is_dir():
        yield f"evaluate.leaderboard: there is no folder {leaderboard!r}; correct it or leave it out"
    for task in tasks:
        if task.data and not task.has_data:
            yield f"benchmark task {task.name!r}: data: there is no folder {task.data!r} below {Path.cwd()}; correct it"


def cut_faults(evaluate: Mapping[str, Any], backbone: Model | None) -> Iterator[str]:
    """Sizes of cut vectors that are listed twice, or larger than the vectors of the backbone."""
    sizes = evaluate.get("dimensions", ())
    yield from repeated(sizes, key="evaluate.dimensions")
    for place, model in enumerate(evaluate.get("models", ())):
        yield from repeated((model or {}).get("dimensions", ()), key=f"evaluate.models.{place}.dimensions")
    # Reading the lock file is left out where nothing is cut.
    shape = known_geometry(backbone, read_json(LOCK) if LOCK.is_file() else {}) if backbone and sizes else None
    for size in sizes:
        if shape and size and size > shape.hidden:
            yield (
                f"evaluate.dimensions: {size} is more than the {shape.hidden} numbers of a vector of "
                f"{backbone.name!r}; lower it or take it out"
            )


def length_faults(train: Mapping[str, Any]) -> Iterator[str]:
    """A training has a length in steps or in epochs."""
    if "steps" not in train or "epochs" not in train:
        return  # a wrong one has been reported
    given = [key for key in ("steps", "epochs") if train[key] is not None]
    if len(given) != 1:
        what = "both steps and epochs are given" if given else "neither steps nor epochs is given"
        yield f"train: {what}; give one of the two"


def negatives_faults(sources: Sequence[Source], *, train: Mapping[str, Any], mine: Mapping[str, Any]) -> Iterator[str]:
    """More negatives drawn in a step than were mined."""
    drawn, mined = train.get("negatives"), mine.get("negatives")
    # Classes have one negative by nature, and ready tuples those that they came with.
    searched = any(not source.ready and source.task != "classification" for source in sources)
    if searched and drawn and mined and drawn > mined:
        yield f"train.negatives: {drawn} is more than mine.negatives ({mined}); lower the one or raise the other"


def matryoshka_faults(train: Mapping[str, Any], backbone: Model | None) -> Iterator[str]:
    """Cuts of the trained vectors beyond the width that the backbone's stanza states."""
    width = backbone.geometry.hidden if backbone and backbone.geometry else None
    for cut in filter(None, train.get("matryoshka", ())):
        size = cut.get("dimensions")
        if width and size and size > width:
            yield f"train.matryoshka: {size} dimensions are more than the backbone's vectors have ({width}); lower it"


def mining_faults(mine: Mapping[str, Any]) -> Iterator[str]:
    """A window that is too small for what is taken out of it, or fewer negatives than are needed."""
    window, negatives, least, rank = map(mine.get, ("window", "negatives", "least_negatives", "positive_max_rank"))
    if least and negatives and least > negatives:
        yield f"mine.least_negatives: {least} is more than mine.negatives ({negatives}); lower it"
    if rank and window and rank > window:
        yield (
            f"mine.positive_max_rank: {rank} lies beyond mine.window ({window}), where no rank is known; "
            "widen the window"
        )
    needed = (least or negatives or 0) + mine.get("skip", 0)
    if window and needed > window:
        yield f"mine.window: {window} candidates cannot hold {needed} of skip and negatives; widen the window"
