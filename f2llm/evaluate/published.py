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
from f2llm.errors import InputError
from f2llm.evaluate.aggregate import score_of
from f2llm.records.scores import check_result, parse_result

META = "model_meta.json"
NO_REVISION = ("external", "no_revision_available", "")
REMEDY = "delete it or fetch it again"


class PublishedResult(NamedTuple):
    """One published result file."""

    task: str
    revision: str  # name of its folder
    content: Mapping[str, Any]


def published_files(folder: str | Path, tasks: Collection[str]) -> list[Path]:
    """The result files of all models for `tasks`, sorted by model and path."""
    return [path for model in _models(folder).values() for path in _files(model) if path.stem in tasks]


def published_models(folder: str | Path) -> dict[str, Path]:
    """Name ("owner/name") -> folder of each model.

    Raises:
        InputError: there is no model.
    """
    models = _models(folder)
    if not models:
        raise InputError(
            f"{folder}: holds no model; give the folder of published results (owner__name/revision/Task.json)"
        )
    return models


def all_published_scores(folder: str | Path, tasks: Sequence[Task]) -> dict[str, dict[str, float | None]]:
    """Model -> task -> score, 0..1; null where a task, split or subset is missing.

    Raises:
        InputError: there is no model, or files are no results of mteb's.
    """
    scores, faults = {}, []
    for name, model in published_models(folder).items():
        try:
            scores[name] = published_scores(model, tasks)
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return scores


def published_scores(model: str | Path, tasks: Sequence[Task]) -> dict[str, float | None]:
    """Task -> score, 0..1, of the model in a folder; null where a task, split or subset is missing.

    Raises:
        InputError: files are no results of mteb's.
    """
    results: dict[str, list[PublishedResult]] = {task.name: [] for task in tasks}
    for result in _results(Path(model), results):
        results[result.task].append(result)
    revision = _registered_revisions().get(Path(model).name.replace("__", "/", 1))
    best = {task: _preferred(files, revision=revision).content for task, files in results.items() if files}
    return {task.name: score_of(task, best.get(task.name, {})) for task in tasks}


@functools.cache
def _registered_revisions() -> dict[str, str | None]:
    """Model -> its revision in mteb's registry."""
    import mteb

    return {meta.name: meta.revision for meta in mteb.get_model_metas()}


def _models(folder: str | Path) -> dict[str, Path]:
    top = Path(folder)
    top = top / "results" if (top / "results").is_dir() else top
    return {path.name.replace("__", "/", 1): path for path in sorted(top.glob("*")) if _files(path)}


def _files(model: Path) -> list[Path]:
    return [path for path in sorted(model.glob("*/*.json")) if path.name != META]


def _results(model: Path, wanted: Collection[str]) -> list[PublishedResult]:
    results, faults = [], []
    for path in _files(model):
        if path.stem not in wanted:
            continue
        try:
            content = _content(path)
        except InputError as error:
            faults += error.faults
            continue
        if content["scores"]:
            results.append(PublishedResult(path.stem, path.parent.name, content))
    if faults:
        raise InputError(faults)
    return results


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
