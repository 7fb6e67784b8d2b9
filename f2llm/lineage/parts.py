"""What a section of the report is made of, and what all of them read."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.config.sources import Source
from f2llm.lineage.funnel import Funnel
from f2llm.lineage.gaps import Gaps
from f2llm.lineage.layout import Layout
from f2llm.lineage.report_tables import ReportTable


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
