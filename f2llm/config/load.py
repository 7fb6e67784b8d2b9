"""Read a run's configuration with the stanzas that it names, and say all that is wrong at once."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from f2llm.config.ablations import changes_of
from f2llm.config.benchmarks import Benchmark
from f2llm.config.build import build
from f2llm.config.check import check, load_schema, read_yaml, with_defaults
from f2llm.config.evaluation import datasets_of, evaluation_faults
from f2llm.config.exclusions import excluded_sources, read_exclusions, without_excluded
from f2llm.config.licences import barred_sources
from f2llm.config.models import Model
from f2llm.config.mteb_tasks import with_mteb
from f2llm.config.recipes import with_recipe
from f2llm.config.run import Audit, Comparison, Run
from f2llm.config.sources import Fetch, Source
from f2llm.errors import InputError

ALL = "*"
PLACEHOLDER = "{source}"
Stanza = TypeVar("Stanza")


class Stanzas:
    """The stanzas of a folder, each read and checked once, however many runs name it."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._schemas = {kind: load_schema(kind.removesuffix("s")) for kind in ("sources", "models", "benchmarks")}
        self._read: dict[tuple[str, str], tuple[Any, list[str]]] = {}

    def noting(self, faults: list[str]) -> Callable[..., Any]:
        """Return a function that returns one stanza, or notes its faults and returns None."""

        def stanza(kind: str, name: object, record: type[Stanza]) -> Stanza | None:
            if not isinstance(name, str):
                return None  # the config's own schema has said so
            if (kind, name) not in self._read:
                self._read[kind, name] = self._stanza(kind, name, record)
            found, own = self._read[kind, name]
            faults.extend(own)
            return found

        return stanza

    def _stanza(self, kind: str, name: str, record: type[Stanza]) -> tuple[Stanza | None, list[str]]:
        path = self._folder / kind / f"{name}.yaml"
        if not path.is_file():
            near = difflib.get_close_matches(name, [file.stem for file in path.parent.glob("*.yaml")], n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"add {path}"
            return None, [f"{path}: there is no such stanza ({kind}: {name!r}); {advice}"]
        content = read_yaml(path)
        found = check(content, schema=self._schemas[kind], where=str(path))
        if not found and content["name"] != name:
            found = [f"{path}: name is {content['name']!r}; it must equal the file name {name!r}"]
        filled = None if found else with_defaults(content, self._schemas[kind])
        if filled and record is Benchmark:
            filled, found = with_mteb(filled, where=str(path))
        return None if found else build(record, filled), found


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
    faults += _comparison_faults(released, names=names, where=where)
    faults += [
        f"{where}: sources: {name!r} is listed twice; list it once"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    faults += _misuses(sources, heldout, benchmark, where=where)
    faults += _curation_faults(settings.get("curate"), sources, where=where)
    scored = [stanza("models", name, Model) for name in _scored_names(settings.get("evaluate"))]
    faults += evaluation_faults(benchmark, models, scored, settings.get("evaluate"), where=where)
    faults += _training_faults(settings.get("train"), where=where)
    faults += _fitting_faults(settings, sources, models["backbone"], where=where)
    faults += _mining_faults(settings.get("mine"), models["backbone"], where=where)
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


def _training_faults(train: object, *, where: str) -> list[str]:
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


def _fitting_faults(
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


def _mining_faults(mine: object, backbone: Model | None, *, where: str) -> list[str]:
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


def _curation_faults(curate: object, sources: Sequence[Source | None], *, where: str) -> list[str]:
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


def _comparison_faults(released: Mapping[str, Source | None], *, names: Sequence[str], where: str) -> list[str]:
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


def _misuses(
    sources: list[Source | None], heldout: list[Source | None], benchmark: Benchmark | None, *, where: str
) -> list[str]:
    """Return faults that only show when stanzas are seen together."""
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
