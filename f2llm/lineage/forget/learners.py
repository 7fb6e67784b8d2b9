"""The runs that learned from texts or from a source: their plans, checkpoints and models."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.errors import InputError
from f2llm.lineage.trace.find import TracedId
from f2llm.lineage.trace.forward import trace_text
from f2llm.lineage.trace.seen import Seen, seen_by
from f2llm.records.sql import ask
from f2llm.runs.layout import Layout, read_layout, runs_in
from f2llm.runs.run_file import PLAN_FILE


class Learner(NamedTuple):
    """A run that saw something in training, with its plan and what it made since."""

    run: str
    plan: Path
    made: list[Path]  # checkpoints and models


def learners_of(results: Path, named: Sequence[TracedId]) -> list[Learner]:
    """All runs that saw texts in training; one whose tables are gone may have seen them, and is among them."""

    def seen(layout: Layout) -> Iterable[Seen]:
        names = {source.name for source in layout.sources}
        return [trace_text(layout, traced, most=0).seen for traced in named if traced.source in names]

    return _learners(results, seen)


def learners_of_source(results: Path, name: str) -> list[Learner]:
    """All runs that saw a source in training; one whose plan is gone may have seen it, and is among them."""
    sql = "SELECT DISTINCT step FROM read_parquet(?) WHERE source = ?"

    def seen(layout: Layout) -> Iterable[Seen]:
        if name not in {source.name for source in layout.sources}:
            return []
        return [seen_by(layout, [step for (step,) in ask(sql, [layout.plan], name)])]

    return _learners(results, seen)


def _learners(results: Path, seen: Callable[[Layout], Iterable[Seen]]) -> list[Learner]:
    learners = []
    for run in runs_in(results):
        folder = results / "runs" / run
        try:
            traces = [trace for trace in seen(read_layout(results, run=run)) if trace.steps]
            learned = bool(traces)
            names = {path for trace in traces for path in (*trace.checkpoints, *trace.models)}
            made = [results / path for path in sorted(names)]
        except InputError:  # its tables cannot be read: whatever it made may have learned from it
            made = [path for path in (*sorted(folder.glob("checkpoints/*/step_*")), folder / "model") if path.is_dir()]
            learned = bool(made)
        if learned:
            learners.append(Learner(run, folder / PLAN_FILE, made))
    return learners
