"""Read a run's configuration with the stanzas that it names, and say all that is wrong at once."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from f2llm.config.ablations import changes_of
from f2llm.config.benchmarks import Benchmark
from f2llm.config.build import build
from f2llm.config.check import accepted, check, load_schema, with_defaults
from f2llm.config.exclusions import Exclusion, read_exclusions
from f2llm.config.faults import faults_between
from f2llm.config.fetch import Fetch
from f2llm.config.licences import barred_sources, excluded_sources
from f2llm.config.models import Model
from f2llm.config.rights import Barred
from f2llm.config.run import Comparison, Run
from f2llm.config.sources import Source
from f2llm.config.stanzas import NamedStanzas, Stanzas
from f2llm.config.train import with_recipe
from f2llm.records.errors import InputError
from f2llm.records.yaml_files import read_yaml, yaml_faults

ALL = "*"
PLACEHOLDER = "{source}"
DATASETS = "mteb/datasets.yaml"


def load_run(
    content: Mapping[str, Any], *, folder: str | Path, where: str, stanzas: Stanzas | None = None,
    files: Iterable[str | Path] = (),
) -> Run:  # fmt: skip
    """The run that `content` (a parsed config.yaml) describes.

    `folder` holds sources/, models/ and benchmarks/; `where` names the config in errors; `stanzas` are those of the
    folder, where other runs have read them; `files` are YAML files that another program has read `content` from, and
    that are read once more for what such a program passes over (`read_yaml`).

    Raises:
        InputError: every fault of the config and of all stanzas it names, in one go.
    """
    schema, folder = load_schema("config"), Path(folder)
    faults = check(content, schema=schema, where=where)
    train = content.get("train")
    settings = with_defaults(
        {**content, "train": with_recipe(train)} if isinstance(train, Mapping) else content, schema
    )
    sound = accepted(settings, schema)
    named = _named_stanzas(sound, stanzas or Stanzas(folder), faults=faults)
    faults += faults_between(sound, named, where=where)
    if unread := [fault for file in files for fault in yaml_faults(file)]:
        # With a key twice, say, the content is not what its writer sees: what is wrong with it would mislead.
        faults = unread + [fault for fault in faults if not fault.startswith(f"{where}: ")]
    if faults:
        raise InputError(faults)
    exclusions = read_exclusions(folder / settings["exclude"])
    barred = _barred(named.sources, exclusions, policy=settings["licences"], where=where)
    return _run(settings, named, exclusions=exclusions, barred=barred, folder=folder)


def load_run_file(path: str | Path) -> Run:
    """The run in a YAML file; stanzas lie beside it (sources/, models/, benchmarks/)."""
    path = Path(path)
    return load_run(read_yaml(path), folder=path.parent, where=str(path))


def _named_stanzas(settings: Mapping[str, Any], stanzas: Stanzas, *, faults: list[str]) -> NamedStanzas:
    """All stanzas that the settings name; their faults are added to `faults`."""
    read = functools.partial(stanzas.read, faults=faults)
    names = settings.get("sources", ())
    sources = [read(Source, name) for name in names]
    backbone, retriever = (read(Model, settings.get(role)) for role in ("backbone", "retriever"))
    benchmark = read(Benchmark, settings.get("benchmark"))
    drawn_from = {task.source for task in benchmark.tasks if task.source} if benchmark else set()
    scored = [model.get("model") for model in settings.get("evaluate", {}).get("models", ()) if model]
    return NamedStanzas(
        sources=sources,
        heldout=[read(Source, name) for name in sorted(drawn_from - set(names))],
        released=_released(settings.get("compare", {}), names, read),
        backbone=backbone,
        retriever=retriever,
        scored=[read(Model, name) for name in scored],
        benchmark=benchmark,
    )


def _released(
    pairs: Mapping[str, str], names: Sequence[str], read: Callable[[type, str], Source | None]
) -> dict[str, Source | None]:
    """Source -> stanza of published tuples; one under "*" is that of all others, its `{source}` filled in."""
    template = read(Source, pairs[ALL]) if ALL in pairs else None
    others = {name: _of_source(template, name) for name in names} if template else {}
    return others | {name: read(Source, stanza) for name, stanza in pairs.items() if name != ALL}


def _of_source(template: Source, name: str) -> Source:
    """A stanza for one source from one with `{source}` in its files or paths."""

    def filled(fetch: Fetch) -> Fetch:
        files = tuple(file.replace(PLACEHOLDER, name) for file in fetch.files)
        return replace(fetch, files=files, path=fetch.path.replace(PLACEHOLDER, name))

    return replace(template, name=f"{template.name}_{name}", fetch=tuple(map(filled, template.fetch)))


def _barred(
    sources: Sequence[Source], exclusions: Sequence[Exclusion], *, policy: str, where: str
) -> tuple[Barred, ...]:
    """The sources that exclusions or the licence policy keep out of training.

    Raises:
        InputError: none is left.
    """
    excluded = excluded_sources(sources, exclusions)
    barred = excluded + barred_sources(sources, policy=policy)
    if {source.name for source in sources} <= {source.name for source in barred}:
        what = "licences and exclude" if excluded else f"licences: {policy!r}"
        raise InputError(f"{where}: {what} keeps out all {len(barred)} sources; loosen it")
    return barred


def _run(
    settings: Mapping[str, Any], named: NamedStanzas, *, exclusions: Sequence[Exclusion], barred: Sequence[Barred],
    folder: Path,
) -> Run:  # fmt: skip
    """The run of settings and stanzas without faults."""
    excluded = {exclusion.source for exclusion in exclusions if exclusion.whole}
    tasks = tuple(task for task in named.benchmark.tasks if task.source not in excluded)
    barred_names = {source.name for source in barred}
    trained = {source.name: source for source in named.sources if source.name not in barred_names}
    # What is kept out of training may still be scored on.
    untrained = [*named.heldout, *(source for source in named.sources if source.name in barred_names)]
    drawn_from = {task.source for task in tasks}
    released = [(name, stanza) for name, stanza in named.released.items() if name in trained]
    resolved = {
        "barred": barred,
        "sources": tuple(trained.values()),
        "heldout_sources": tuple(source for source in untrained if source.name in drawn_from),
        "compare": tuple(Comparison(source=name, released=stanza) for name, stanza in released),
        "backbone": named.backbone,
        "retriever": named.retriever,
        "benchmark": replace(named.benchmark, tasks=tasks),
        "scored_models": tuple(named.scored),
        "ablate": changes_of(settings["ablate"], sources=list(trained)),
        "exclude": exclusions,
        "trained_datasets": _datasets_of(trained, folder=folder),
    }
    deciding = {key: value for key, value in settings.items() if key != "stanzas"}  # where stanzas lie decides nothing
    return build(Run, deciding | resolved)


def _datasets_of(sources: Iterable[str], *, folder: Path) -> tuple[str, ...]:
    """Mteb's names of the data sets that `sources` are made of (`folder`/mteb/datasets.yaml), sorted."""
    path = folder / DATASETS
    datasets: Mapping[str, Any] = read_yaml(path) if path.is_file() else {}
    return tuple(sorted({dataset for name in sources for dataset in datasets.get(name, ())}))
