"""What a section of the report is made of, and what all of them read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from f2llm.config.sources import Source
from f2llm.report.tables import ReportTable
from f2llm.runs.funnel import Funnel
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import Layout

Read = TypeVar("Read")


class Run(NamedTuple):
    """A run as the sections see it. `summary` is that of the scoreboard, None where the run has none."""

    layout: Layout
    heldout: Sequence[Source]
    jobs: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any] | None
    funnel: Sequence[Funnel]
    gaps: Gaps


class Part(NamedTuple):
    """A section: tables by name, figures as SVG by name, what else is shown, and warnings.

    `also` names tables outside the report's own folder from which more can be read.
    """

    tables: Mapping[str, ReportTable] = {}
    figures: Mapping[str, str] = {}
    shown: Mapping[str, Any] = {}
    also: Sequence[str] = ()
    warnings: Sequence[str] = ()


def read_each(run: Run, names: Iterable[str], read: Callable[[str], Read], *, what: str) -> dict[str, Read]:
    """Read something of each source; those that cannot be read are noted and left out."""
    found = {}
    for name in names:
        with run.gaps.noting(f"{name}, {what}"):
            found[name] = read(name)
    return found
