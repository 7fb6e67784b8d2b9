"""The scores of one run as the hub's metadata wants them, out of the scoreboard and mteb's results."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from f2llm.config.benchmarks import Task
from f2llm.errors import InputError
from f2llm.publish.hub_results import hub_result
from f2llm.records.files import read_json

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

RUN = "run"  # role of the trained model in the scoreboard
# ISO 639-3 as mteb has it -> ISO 639-1 as the hub's filters have it; others stay as they are.
SHORT = {
    "ara": "ar", "ben": "bn", "deu": "de", "ell": "el", "eng": "en", "fas": "fa", "fin": "fi", "fra": "fr", "hin": "hi",
    "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko", "nld": "nl", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru",
    "spa": "es", "swa": "sw", "swe": "sv", "tel": "te", "tha": "th", "tur": "tr", "vie": "vi", "zho": "zh",
}  # fmt: skip


def read_scoreboard(results: Path, *, run: str) -> dict[str, Any]:
    """Return the scoreboard's summary of a run.

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


def evaluation_results(board: Mapping[str, Any], tasks: Sequence[Task]) -> "list[EvalResult]":
    """Return the main score of each task that was scored, in points, with the commit of its data where it has one."""
    stanzas = {task.name: task for task in tasks}
    found = []
    for row in board["tasks"]:
        score, task = row["scores"].get(board["run"]), stanzas.get(row["task"])
        if score is None or task is None:  # a task that the config has no more
            continue
        found.append(hub_result(task, metric=row["metric"], points=score))
    return found


def languages_of(results: Path, *, run: str, tasks: Sequence[str]) -> list[str]:
    """Return the languages of tasks by mteb's results of a run, sorted."""
    paths = [results / "scores" / run / f"{task}.json" for task in tasks]
    return sorted({code for path in paths if path.is_file() for code in _languages(read_json(path))})


def mteb_version(results: Path, *, run: str) -> str:
    """Return the version of mteb that scored a run, or empty."""
    for path in sorted((results / "scores" / run).glob("*.json")):
        return read_json(path).get("mteb_version", "")
    return ""


def _languages(result: Mapping[str, Any]) -> Iterator[str]:
    for subsets in result["scores"].values():
        for subset in subsets:
            for language in subset.get("languages", ()):
                code = language.split("-")[0]
                yield SHORT.get(code, code)
