"""Published result files of models, laid out as in the public results repository.

`{folder}/[results/]{owner__name}/{revision}/{Task}.json`. A model may have results in several revision folders. Of two
results for a task mteb prefers that of the model's revision in mteb's registry, then one that names mteb's version,
then one of a real revision, then the newest version; so does this module. Files of mteb before 1.11 are read as mteb
reads them.
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from f2llm.config.benchmarks import Task
from f2llm.evaluate.aggregate import score_of
from f2llm.records.errors import InputError
from f2llm.records.scores import check_result, parse_result

META = "model_meta.json"
NO_REVISION = ("external", "no_revision_available", "")
REMEDY = "delete it or fetch it again"


class PublishedResult(NamedTuple):
    """One published result file."""

    revision: str  # name of its folder
    content: Mapping[str, Any]


def published_files(folder: str | Path, tasks: Collection[str]) -> list[Path]:
    """The result files of all models for `tasks`, sorted by model and path."""
    return [path for paths in _models(folder).values() for path in paths if path.stem in tasks]


def published_scores(folder: str | Path, tasks: Sequence[Task]) -> dict[str, dict[str, float | None]]:
    """Model ("owner/name") -> task -> score, 0..1; null where a task, split or subset is missing.

    Raises:
        InputError: there is no model, or files are no results of mteb's.
    """
    models = _models(folder)
    if not models:
        raise InputError(
            f"{folder}: holds no model; give the folder of published results (owner__name/revision/Task.json)"
        )
    faults: list[str] = []
    scores = {name: _scores(name, paths, tasks, faults=faults) for name, paths in models.items()}
    if faults:
        raise InputError(faults)
    return scores


def _models(folder: str | Path) -> dict[str, list[Path]]:
    """Name -> result files of each model, sorted."""
    top = Path(folder, "results") if Path(folder, "results").is_dir() else Path(folder)
    models = {}
    for model in sorted(top.glob("*")):
        if files := [path for path in sorted(model.glob("*/*.json")) if path.name != META]:
            models[model.name.replace("__", "/", 1)] = files
    return models


def _scores(model: str, paths: Sequence[Path], tasks: Sequence[Task], *, faults: list[str]) -> dict[str, float | None]:
    """Task -> score of one model in its result files; adds files that are no results to `faults`."""
    results: dict[str, list[PublishedResult]] = {task.name: [] for task in tasks}
    for path in (path for path in paths if path.stem in results):
        try:
            content = _content(path)
        except InputError as error:
            faults += error.faults
            continue
        if content["scores"]:
            results[path.stem].append(PublishedResult(path.parent.name, content))
    revision = _registered_revisions().get(model)
    best = {task: _preferred(of_task, revision=revision).content for task, of_task in results.items() if of_task}
    return {task.name: score_of(task, best.get(task.name, {})) for task in tasks}


@functools.cache
def _registered_revisions() -> dict[str, str | None]:
    """Model -> its revision in mteb's registry."""
    import mteb

    return {meta.name: meta.revision for meta in mteb.get_model_metas()}


def _content(path: Path) -> Mapping[str, Any]:
    """Read a result file; one of mteb before 1.11 is converted to the layout of today."""
    content = parse_result(path.read_bytes(), path=path, remedy=REMEDY)
    if isinstance(content, Mapping) and "mteb_dataset_name" in content:
        from mteb.results import TaskResult

        try:
            text = TaskResult.from_disk(path).model_dump_json()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: mteb cannot read this old result ({type(error).__name__}); {REMEDY}") from error
        content = parse_result(text, path=path, remedy=REMEDY)
    check_result(content, path=path, remedy=REMEDY)
    return content


def _preferred(results: Sequence[PublishedResult], *, revision: str | None) -> PublishedResult:
    """The result that stands for a task; `revision` is that of the model in mteb's registry."""

    def rank(result: PublishedResult) -> tuple[bool, bool, bool, Version | None]:
        version = _version(result.content.get("mteb_version"))
        return result.revision == revision, version is not None, result.revision not in NO_REVISION, version

    return max(results, key=rank)


def _version(text: object) -> Version | None:
    try:
        return Version(text) if isinstance(text, str) else None
    except InvalidVersion:
        return None
