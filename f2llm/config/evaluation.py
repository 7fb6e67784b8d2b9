"""What of a run's evaluation can only be checked when stanzas are seen together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Benchmark
from f2llm.config.check import read_yaml
from f2llm.config.counts import LOCK, known_geometry
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
