"""Read a run's configuration with the stanzas that it names, and say all that is wrong at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from f2llm.config.ablations import changes_of
from f2llm.config.benchmarks import Benchmark
from f2llm.config.build import build
from f2llm.config.check import check, load_schema, read_yaml, with_defaults
from f2llm.config.curate import Audit
from f2llm.config.exclusions import Exclusion, excluded_sources, read_exclusions
from f2llm.config.faults import (
    comparison_faults,
    curation_faults,
    datasets_of,
    evaluation_faults,
    fitting_faults,
    mining_faults,
    stanza_faults,
    training_faults,
)
from f2llm.config.fetch import Fetch
from f2llm.config.licences import barred_sources
from f2llm.config.models import Model
from f2llm.config.recipes import with_recipe
from f2llm.config.run import Comparison, Run
from f2llm.config.sources import Source
from f2llm.config.stanzas import Stanzas
from f2llm.errors import InputError

ALL = "*"
PLACEHOLDER = "{source}"


def load_run(content: Mapping[str, Any], *, folder: str | Path, where: str, stanzas: Stanzas | None = None) -> Run:
    """Return the run that `content` (a parsed config.yaml) describes.

    `folder` holds sources/, models/ and benchmarks/; `where` names the config in errors; `stanzas` are those of the
    folder, where other runs have read them.

    Raises:
        InputError: every fault of the config and of all stanzas it names, in one go.
    """
    schema, folder = load_schema("config"), Path(folder)
    faults = check(content, schema=schema, where=where)
    settings = with_defaults(_with_recipe(content), schema)
    stanza = (stanzas or Stanzas(folder)).noting(faults)
    names = settings.get("sources") if isinstance(settings.get("sources"), list) else []
    sources = [stanza("sources", name, Source) for name in names]
    models = {role: stanza("models", settings.get(role), Model) for role in ("backbone", "retriever")}
    benchmark = stanza("benchmarks", settings.get("benchmark"), Benchmark)
    wanted = {task.source for task in benchmark.tasks if task.source} if benchmark else set()
    heldout = [stanza("sources", name, Source) for name in sorted(wanted - set(names))]
    pairs = settings["compare"] if isinstance(settings.get("compare"), Mapping) else {}
    released = _released(pairs, names, stanza)
    faults += comparison_faults(released, names=names, where=where)
    faults += [
        f"{where}: sources: {name!r} is listed twice; list it once"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    faults += stanza_faults(sources, heldout, benchmark, where=where)
    faults += curation_faults(settings.get("curate"), sources, where=where)
    scored = [stanza("models", name, Model) for name in _scored_names(settings.get("evaluate"))]
    faults += evaluation_faults(benchmark, models, scored, settings.get("evaluate"), where=where)
    faults += training_faults(settings.get("train"), where=where)
    faults += fitting_faults(settings, sources, models["backbone"], where=where)
    faults += mining_faults(settings.get("mine"), models["backbone"], where=where)
    if faults:
        raise InputError(faults)
    settings["exclude"] = read_exclusions(folder / settings["exclude"])
    benchmark = without_excluded(benchmark, settings["exclude"])
    wanted = {task.source for task in benchmark.tasks if task.source}
    heldout = [source for source in heldout if source.name in wanted]
    excluded = excluded_sources(sources, settings["exclude"])
    barred = excluded + barred_sources(sources, policy=settings["licences"])
    out = {one.name for one in barred}
    heldout += [source for source in sources if source.name in out and source.name in wanted]
    sources = [source for source in sources if source.name not in out]
    if not sources:
        what = f"licences: {settings['licences']!r}" if not excluded else "licences and exclude"
        raise InputError(f"{where}: {what} keeps out all {len(barred)} sources; loosen it")
    del settings["stanzas"]  # where stanzas lie decides nothing
    settings |= {"barred": barred, "sources": tuple(sources), "heldout_sources": tuple(heldout)}
    settings["ablate"] = changes_of(settings["ablate"], sources=[source.name for source in sources])
    kept = {source.name for source in sources}
    compare = [Comparison(source=name, released=other) for name, other in released.items() if name in kept]
    audits = load_schema("config")["properties"]["audit"]["additionalProperties"]
    settings["audit"] = {name: build(Audit, with_defaults(one, audits)) for name, one in settings["audit"].items()}
    settings |= {"compare": tuple(compare), "benchmark": benchmark, **models}
    settings |= {"scored_models": tuple(scored), "trained_datasets": datasets_of(sources, folder=folder)}
    return build(Run, settings)


def _scored_names(evaluate: object) -> list[str]:
    models = evaluate.get("models") if isinstance(evaluate, Mapping) else None
    return [one["model"] for one in models or () if isinstance(one, Mapping) and isinstance(one.get("model"), str)]


def load_run_file(path: str | Path) -> Run:
    """Read a run from its YAML file; stanzas lie beside it (sources/, models/, benchmarks/)."""
    path = Path(path)
    return load_run(read_yaml(path), folder=path.parent, where=str(path))


def _with_recipe(content: Mapping[str, Any]) -> dict[str, Any]:
    train = content.get("train")
    return dict(content) | ({"train": with_recipe(train)} if isinstance(train, Mapping) else {})


def without_excluded(benchmark: Benchmark, exclusions: Sequence[Exclusion]) -> Benchmark:
    """Return the benchmark without the tasks that are drawn from sources excluded as a whole."""
    whole = {one.source for one in exclusions if one.whole}
    return replace(benchmark, tasks=tuple(task for task in benchmark.tasks if task.source not in whole))


def _released(pairs: Mapping[str, str], names: Sequence[str], stanza: Callable[..., Any]) -> dict[str, Source | None]:
    """Return source -> stanza of published tuples; one under "*" is that of all others, its `{source}` filled in."""
    every = stanza("sources", pairs[ALL], Source) if ALL in pairs else None
    found = {name: _of_source(every, name) for name in names} if every else {}
    return found | {name: stanza("sources", other, Source) for name, other in pairs.items() if name != ALL}


def _of_source(template: Source, name: str) -> Source:
    """Return a stanza for one source from one with `{source}` in its files or paths."""

    def filled(fetch: Fetch) -> Fetch:
        files = tuple(file.replace(PLACEHOLDER, name) for file in fetch.files)
        return replace(fetch, files=files, path=fetch.path.replace(PLACEHOLDER, name))

    return replace(template, name=f"{template.name}_{name}", fetch=tuple(map(filled, template.fetch)))
