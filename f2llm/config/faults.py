"""Checks that need several settings or stanzas at once, which a schema cannot say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Benchmark
from f2llm.config.check import read_yaml
from f2llm.config.geometry import LOCK, known_geometry
from f2llm.config.models import Model
from f2llm.config.sources import Source
from f2llm.records.files import read_json

DATASETS = "mteb/datasets.yaml"
INSTRUCTION = "{instruction}"


def evaluation_faults(
    benchmark: Benchmark | None,
    models: Mapping[str, Model | None],
    scored: Sequence[Model | None],
    evaluate: object,
    *,
    where: str,
) -> list[str]:
    """Return faults of benchmark, scored models and settings; what a schema has refused is None."""
    if not isinstance(evaluate, Mapping):
        return []
    faults = [
        f"{where}: {role}: {model.name!r} puts {model.passage_prompt!r} before passages, which training does not; "
        "choose another model, or score it in evaluate.models"
        for role, model in models.items()
        if model and model.passage_prompt and role == "backbone"
    ]
    known = [model for model in (*models.values(), *scored) if model]
    faults += [
        f"{where}: evaluate.models: {model.name!r} is made of ready vectors, it cannot read the benchmark's texts; "
        "take it out"
        for model in scored
        if model and model.format == "vectors"
    ]
    asking = sorted({model.name for model in known if INSTRUCTION in model.query_prompt + model.passage_prompt})
    tasks = benchmark.tasks if benchmark else ()
    if asking:
        faults += [
            f"{where}: benchmark task {task.name!r} has no instruction, and {', '.join(asking)} "
            "fill one into their prompt; give it an `instruction`"
            for task in tasks
            if task.data and not task.instruction
        ]
    tier = evaluate.get("tier", "full")
    if tasks and not any(tier in task.tiers for task in tasks):
        faults.append(f"{where}: evaluate.tier: no task of {benchmark.name!r} is of tier {tier!r}; choose another")
    folder = evaluate.get("leaderboard")
    if isinstance(folder, str) and folder and not Path(folder).is_dir():
        faults.append(f"{where}: evaluate.leaderboard: there is no folder {folder!r}; correct it or leave it out")
    faults += [
        f"{where}: benchmark task {task.name!r}: data: there is no folder {task.data!r} below {Path.cwd()}; correct it"
        for task in tasks
        if task.data and not task.has_data
    ]
    return faults + _cut_faults(evaluate, models.get("backbone"), where=where)


def _cut_faults(evaluate: Mapping[str, Any], backbone: Model | None, *, where: str) -> list[str]:
    """Return faults of the sizes that vectors are cut to."""
    models = evaluate.get("models") if isinstance(evaluate.get("models"), list) else []
    places = {"evaluate": evaluate} | {
        f"evaluate.models.{place}": model for place, model in enumerate(models) if isinstance(model, Mapping)
    }
    sizes = {place: found for place, one in places.items() if isinstance(found := one.get("dimensions"), list)}
    faults = [
        f"{where}: {place}.dimensions: {size} is listed twice; list it once"
        for place, found in sizes.items()
        for size in dict.fromkeys(one for one in found if isinstance(one, int) and found.count(one) > 1)
    ]
    shape = (
        known_geometry(backbone, read_json(LOCK) if LOCK.is_file() else {})
        if backbone and sizes.get("evaluate")
        else None
    )
    return faults + [
        f"{where}: evaluate.dimensions: {size} is more than the {shape.hidden} numbers of a vector of "
        f"{backbone.name!r}; lower it or take it out"
        for size in sizes.get("evaluate", ())
        if shape and isinstance(size, int) and size > shape.hidden
    ]


def datasets_of(sources: Sequence[Source], *, folder: Path) -> tuple[str, ...]:
    """Return mteb's names of the data sets that `sources` are made of (`folder`/mteb/datasets.yaml), sorted."""
    path = folder / DATASETS
    named: Mapping[str, Any] = read_yaml(path) if path.is_file() else {}
    return tuple(sorted({dataset for source in sources for dataset in named.get(source.name, ())}))


def training_faults(train: object, *, where: str) -> list[str]:
    """Return faults of `train` (defaults filled in) that a schema cannot say well."""
    if not isinstance(train, Mapping):
        return []  # the schema has said so
    faults = []
    given = [key for key in ("steps", "epochs") if train.get(key) is not None]
    if len(given) != 1:
        what = "both steps and epochs are given" if given else "neither steps nor epochs is given"
        faults.append(f"{where}: train: {what}; give one of the two")
    for key, name in (("losses", "term"), ("matryoshka", "dimensions")):
        items = train.get(key)
        named = [str(item.get(name)) for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
        twice = sorted({one for one in named if named.count(one) > 1})
        faults += [f"{where}: train.{key}: {one} is listed twice; list it once" for one in twice]
    return faults


def fitting_faults(
    settings: Mapping[str, Any], sources: Sequence[Source | None], backbone: Model | None, *, where: str
) -> list[str]:
    """Return what the training asks for and neither mining nor the backbone gives."""
    train, mine = settings.get("train"), settings.get("mine")
    if not isinstance(train, Mapping) or not isinstance(mine, Mapping):
        return []  # the schema has said so
    faults, drawn, mined = [], train.get("negatives"), mine.get("negatives")
    # Classes have one negative by nature, and ready tuples those that they came with.
    searched = [source for source in sources if source and not source.ready and source.task != "classification"]
    if searched and isinstance(drawn, int) and isinstance(mined, int) and drawn > mined:
        faults.append(
            f"{where}: train.negatives: {drawn} is more than mine.negatives ({mined}); lower the one or raise the other"
        )
    width = backbone.geometry.hidden if backbone and backbone.geometry else None
    cuts = [one.get("dimensions") for one in train.get("matryoshka") or () if isinstance(one, Mapping)]
    faults += [
        f"{where}: train.matryoshka: {cut} dimensions are more than the backbone's vectors have ({width}); lower it"
        for cut in cuts
        if width and isinstance(cut, int) and cut > width
    ]
    return faults


def mining_faults(mine: object, backbone: Model | None, *, where: str) -> list[str]:
    """Return faults of `mine` (defaults filled in) that a schema cannot say well."""
    faults = []
    if backbone and backbone.format == "vectors":
        faults.append(
            f"{where}: backbone: {backbone.name!r} holds vectors, no weights; name a model that can be trained"
        )
    if not isinstance(mine, Mapping):
        return faults  # the schema has said so
    window, negatives, least, rank = (
        value if isinstance(value := mine.get(key), int) else None
        for key in ("window", "negatives", "least_negatives", "positive_max_rank")
    )
    if least and negatives and least > negatives:
        faults.append(f"{where}: mine.least_negatives: {least} is more than mine.negatives ({negatives}); lower it")
    if rank and window and rank > window:
        faults.append(
            f"{where}: mine.positive_max_rank: {rank} lies beyond mine.window ({window}), where no rank is known; "
            "widen the window"
        )
    needed = (least or negatives or 0) + (mine.get("skip") if isinstance(mine.get("skip"), int) else 0)
    if window and needed > window:
        faults.append(
            f"{where}: mine.window: {window} candidates cannot hold {needed} of skip and negatives; widen the window"
        )
    return faults


def curation_faults(curate: object, sources: Sequence[Source | None], *, where: str) -> list[str]:
    """Return faults of the near-duplicate settings, of the run and of each source, that a schema cannot say."""
    near = curate.get("near") if isinstance(curate, Mapping) else None
    if not isinstance(near, Mapping):
        return []  # the schema has said so
    own = {
        f"sources/{source.name}.yaml": source.curate["near"] for source in sources if source and "near" in source.curate
    }
    faults = []
    for place, changes in ({where: {}} | own).items():
        merged = {**near, **changes}
        numbers = [merged[key] for key in ("bands", "permutations", "report_threshold", "threshold")]
        if not all(isinstance(number, int | float) and number > 0 for number in numbers):
            return []  # the schema has said so
        bands, permutations, report, threshold = numbers
        if permutations % bands:
            faults.append(f"{place}: curate.near: {bands} bands do not divide {permutations} permutations; change one")
        if report > threshold:
            faults.append(f"{place}: curate.near: report_threshold {report} is above threshold {threshold}; lower it")
    return faults


def comparison_faults(released: Mapping[str, Source | None], *, names: Sequence[str], where: str) -> list[str]:
    """Return faults of `compare`: only trained sources are compared, and only with ready tuples."""
    faults = []
    for name, other in released.items():
        if name not in names:
            faults.append(f"{where}: compare: {name!r} is not among `sources`; only what is trained on has tuples")
        if other and (not other.ready or other.held_out):
            faults.append(
                f"{where}: compare: {other.name!r} holds no ready tuples; say `ready: true` and `held_out: false` "
                "in its stanza"
            )
    return faults


def stanza_faults(
    sources: list[Source | None], heldout: list[Source | None], benchmark: Benchmark | None, *, where: str
) -> list[str]:
    """Faults between stanzas: sources that must not be trained on, tasks and sources that disagree."""
    faults = [
        f"{where}: sources: {source.name!r} must not be trained on (train: false in its stanza); take it out"
        for source in sources
        if source and not source.train
    ]
    trained = {source.name for source in sources if source}
    known = {source.name: source for source in [*sources, *heldout] if source}
    for task in benchmark.tasks if benchmark else ():
        if task.split == "all" and task.source in trained:
            faults.append(
                f"{where}: benchmark task {task.name!r} takes all rows of {task.source!r}, which is trained on; "
                "use split: test there, or take the source out"
            )
        if task.split != "all" and task.source in known and not known[task.source].held_out:
            faults.append(
                f"{where}: benchmark task {task.name!r} takes the {task.split} rows of {task.source!r}, which "
                "holds none out (held_out: false in its stanza); change one of the two"
            )
        if task.source in known and known[task.source].task != task.type:
            faults.append(
                f"{where}: benchmark task {task.name!r} is {task.type}, its source {task.source!r} is "
                f"{known[task.source].task}; make them agree"
            )
    return faults
