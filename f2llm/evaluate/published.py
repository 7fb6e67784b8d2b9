"""Published result files of models, laid out as in the public results repository.

`{folder}/[results/]{owner__name}/{revision}/{Task}.json`. A model may have results in several revision
folders; as mteb joins them, of two results for a task the one of the model's own revision (as mteb's registry has it;
of a model that mteb does not know, that of most results) comes first, then one that names mteb's
version, then one of a real revision, then the newest version.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.benchmarks import Task
from f2llm.errors import InputError
from f2llm.evaluate.aggregate import splits_of, subsets_of, task_score

META = "model_meta.json"
NO_REVISION = ("external", "no_revision_available", "")
_TASK_FILE = "*.json"


class Result(NamedTuple):
    """One published result file."""

    task: str
    revision: str  # name of its folder
    content: Mapping[str, Any]


def published_models(folder: str | Path) -> dict[str, Path]:
    """Return name ("owner/name") -> folder of each model.

    Raises:
        InputError: there is no model.
    """
    top = Path(folder)
    top = top / "results" if (top / "results").is_dir() else top
    found = {path.name.replace("__", "/", 1): path for path in sorted(top.iterdir()) if path.is_dir()}
    if not found:
        raise InputError(
            f"{folder}: holds no model; give the folder of published results (owner__name/revision/Task.json)"
        )
    return found


def published_scores(model: str | Path, tasks: Sequence[Task]) -> dict[str, float | None]:
    """Return task -> score, 0..1, of one model's folder; null where a task, split or subset is missing.

    Raises:
        InputError: a file is not a result of mteb's.
    """
    wanted = {task.name: task for task in tasks}
    found: dict[str, list[Result]] = {}
    for result in _results(Path(model), wanted):
        found.setdefault(result.task, []).append(result)
    own = Counter(
        result.revision for results in found.values() for result in results if result.revision not in NO_REVISION
    )
    main = _registered(Path(model).name.replace("__", "/", 1)) or (own.most_common(1)[0][0] if own else "")
    return {
        name: task_score(_first(found[name], main=main).content, splits=splits_of(task), subsets=subsets_of(task))
        if name in found
        else None
        for name, task in wanted.items()
    }


def _registered(model: str) -> str:
    """Return the revision of a model in mteb's registry, or nothing."""
    import mteb

    try:
        return mteb.get_model_meta(model, fetch_from_hf=False).revision or ""
    except (KeyError, ValueError):
        return ""


def _results(model: Path, wanted: Mapping[str, Task]) -> Iterator[Result]:
    for path in sorted(model.glob(f"*/{_TASK_FILE}")):
        if path.name == META or path.stem not in wanted:
            continue
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            scores = content["scores"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: is no result of mteb's ({type(error).__name__}); delete it or fetch it again"
            ) from error
        if scores:
            yield Result(path.stem, path.parent.name, content)


def _first(results: Sequence[Result], *, main: str) -> Result:
    """Return the result that stands for a task."""

    def rank(result: Result) -> tuple[bool, bool, bool, list[int]]:
        version = result.content.get("mteb_version") or ""
        numbers = [int(number) for number in re.findall(r"\d+", version)]
        return result.revision == main, bool(version), result.revision not in NO_REVISION, numbers

    return max(results, key=rank)
