"""What of a run's evaluation can only be checked when stanzas are seen together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.benchmarks import Benchmark
from f2llm.config.check import read_yaml
from f2llm.config.models import Model
from f2llm.config.sources import Source

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
    return faults


def datasets_of(sources: Sequence[Source], *, folder: Path) -> tuple[str, ...]:
    """Return mteb's names of the data sets that `sources` are made of (`folder`/mteb/datasets.yaml), sorted."""
    path = folder / DATASETS
    named: Mapping[str, Any] = read_yaml(path) if path.is_file() else {}
    return tuple(sorted({dataset for source in sources for dataset in named.get(source.name, ())}))
