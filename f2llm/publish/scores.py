"""The scores of a run as cards have them: the hub's metadata and a table, out of the scoreboard and mteb's results."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.config.benchmarks import Task
from f2llm.records.errors import InputError
from f2llm.records.files import read_json

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

# ISO 639-3 as mteb has it -> ISO 639-1 as the hub's filters have it; others stay as they are.
SHORT = {
    "ara": "ar", "ben": "bn", "deu": "de", "ell": "el", "eng": "en", "fas": "fa", "fin": "fi", "fra": "fr", "hin": "hi",
    "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko", "nld": "nl", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru",
    "spa": "es", "swa": "sw", "swe": "sv", "tel": "te", "tha": "th", "tur": "tr", "vie": "vi", "zho": "zh",
}  # fmt: skip


def read_scoreboard(results: Path, *, run: str) -> dict[str, Any]:
    """The scoreboard's summary of a run.

    Raises:
        InputError: nothing was scored yet, or what was scored last is another run.
    """
    path = results / "scores" / "scoreboard.json"
    if not path.is_file():
        raise InputError(f"{path}: run {run!r} has no scores yet; `snakemake --cores all evaluate` makes them")
    board = read_json(path)
    if board["run"] != run:
        raise InputError(f"{path}: these are scores of run {board['run']!r}, not of {run!r}; run {run!r} again first")
    return board


def score_table(board: Mapping[str, Any], *, columns: Sequence[str]) -> str:
    """All tasks with the points of all models as Markdown; `columns` are keys of a task that stand before them."""
    models = [model["model"] for model in board["models"]]
    lines = [f"| {' | '.join([*columns, *models])} |", "|---" * (len(columns) + len(models)) + "|"]
    for row in board["tasks"]:
        points = [row["scores"].get(model) for model in models]
        cells = [*(row[column] for column in columns), *("" if score is None else f"{score:.2f}" for score in points)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def evaluation_results(board: Mapping[str, Any], tasks: Sequence[Task]) -> "list[EvalResult]":
    """The main score of each task that the run was scored on, in points, with the commit of its data if it has one."""
    stanzas = {task.name: task for task in tasks}  # the scoreboard may have tasks that left the config since
    return [
        hub_result(stanzas[row["task"]], metric=row["metric"], points=points)
        for row in board["tasks"]
        if (points := row["scores"].get(board["run"])) is not None and row["task"] in stanzas
    ]


def hub_result(task: Task, *, metric: str, points: float) -> "EvalResult":
    """The main score of a task as the metadata of a model card on the hub has it; `metric` is mteb's name of it."""
    from huggingface_hub import EvalResult

    data = {"dataset_type": task.name, "dataset_name": task.name}
    if task.mteb:
        data = {
            "dataset_type": task.mteb.repository,
            "dataset_name": f"MTEB {task.name}",
            "dataset_revision": task.mteb.revision,
            "dataset_split": task.mteb.splits[0],
            "dataset_config": task.mteb.subsets[0],
        }
    return EvalResult(task_type=task.type_name, metric_type=metric, metric_value=round(points, 3), **data)


def languages_of(results: Path, *, run: str, tasks: Sequence[str]) -> list[str]:
    """The languages of tasks by mteb's results of a run, sorted."""
    paths = [results / "scores" / run / f"{task}.json" for task in tasks]
    return sorted({code for path in paths if path.is_file() for code in _languages(read_json(path))})


def mteb_version(results: Path, *, run: str) -> str:
    """The version of mteb that scored a run, or empty."""
    for path in sorted((results / "scores" / run).glob("*.json")):
        return read_json(path).get("mteb_version", "")
    return ""


def _languages(result: Mapping[str, Any]) -> Iterator[str]:
    for subsets in result["scores"].values():
        for subset in subsets:
            for language in subset.get("languages", ()):
                code = language.split("-")[0]
                yield SHORT.get(code, code)
