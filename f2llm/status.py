"""The closing lines of a run: where things are, and the gain in one line."""

from pathlib import Path

from f2llm.errors import InputError
from f2llm.records.files import read_json


def closing_lines(results: str | Path, *, run: str) -> str:
    """Return a few lines for a person: model, scoreboard, report, and the gain in points.

    Raises:
        InputError: the run has not passed its gate yet.
    """
    results = Path(results)
    gate = results / "runs" / run / "gate.json"
    if not gate.is_file():
        raise InputError(f"{gate}: run {run!r} is not finished; `snakemake --cores all` goes on with it")
    score = read_json(gate)
    return "\n".join(
        [
            f"model       {results / 'runs' / run / 'model'}",
            f"scoreboard  {results / 'scores' / 'scoreboard.parquet'}",
            f"report      {results / 'report' / 'index.html'}",
            f"gain        mean over all tasks {score['mean']:.1f}: {score['gain_over_last']:+.1f} points over the base "
            f"with last-token pooling ({score['base_last']:.1f}), {score['gain_over_mean']:+.1f} over the base with "
            f"mean pooling ({score['base_mean']:.1f})",
        ]
    )
