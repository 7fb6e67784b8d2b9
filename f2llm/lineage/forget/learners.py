"""The runs that learned from texts or from a source: their plans, checkpoints and models."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.errors import InputError
from f2llm.lineage.trace.find import Found
from f2llm.lineage.trace.forward import trace_text
from f2llm.lineage.trace.seen import Seen, seen_by
from f2llm.records.sql import ask
from f2llm.runs.layout import Layout, read_layout, runs_in


class Learner(NamedTuple):
    """A run that saw something in training, with its plan and what it made since."""

    run: str
    plan: Path
    made: list[Path]  # checkpoints and models


def learners_of(results: Path, found: Sequence[Found]) -> list[Learner]:
    """Return all runs that saw texts; one whose tables are gone may have seen them, and is among them."""

    def seen(layout: Layout) -> Iterable[Seen]:
        names = {source.name for source in layout.sources}
        return [trace_text(layout, one, most=0).seen for one in found if one.source in names]

    return _learners(results, seen)


def learners_of_source(results: Path, name: str) -> list[Learner]:
    """Return all runs that saw a source; one whose plan is gone may have seen it, and is among them."""
    sql = "SELECT DISTINCT step FROM read_parquet(?) WHERE source = ?"

    def seen(layout: Layout) -> Iterable[Seen]:
        if name not in {source.name for source in layout.sources}:
            return []
        return [seen_by(layout, [step for (step,) in ask(sql, [layout.of_run("plan.parquet")], name)])]

    return _learners(results, seen)


def _learners(results: Path, seen: Callable[[Layout], Iterable[Seen]]) -> list[Learner]:
    learners = []
    for run in runs_in(results):
        folder = results / "runs" / run
        try:
            saw = [one for one in seen(read_layout(results, run=run)) if one.steps]
            names = {path for one in saw for path in (*one.checkpoints, *one.models)}
            made = [results / path for path in sorted(names)]
        except InputError:  # nothing can be told of it
            made = [path for path in (*sorted(folder.glob("checkpoints/*/step_*")), folder / "model") if path.is_dir()]
            saw = made
        if saw:
            learners.append(Learner(run, folder / "plan.parquet", made))
    return learners
