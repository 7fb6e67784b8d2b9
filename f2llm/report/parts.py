"""What a section of the report is made of, and what several of them read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from f2llm.config.sources import Source
from f2llm.records.schemas.sources import SkippedSources
from f2llm.report.tables import ReportTable
from f2llm.runs.funnel import Funnel
from f2llm.runs.gaps import Gaps
from f2llm.runs.layout import Layout

Read = TypeVar("Read")
# What the miner's reasons mean to a person.
REASONS = {
    "filtered_out": "too few passages within the score limits",
    "few_candidates": "corpus too small",
    "single_text_class": "the only text of its class",
    "missing_positive": "answer not in the corpus",
    "no_positive": "no answer",
    "not_best": "another answer of the query scores better",
    "positive_rank": "answer ranks too low",
    "positive_score": "answer scores too low",
    "nan_positive": "answer without a score",
    "nan_score": "passage without a score",
}


class ReportedRun(NamedTuple):
    """A run as the sections see it. `summary` is that of the scoreboard, None where the run has none."""

    layout: Layout
    heldout: Sequence[Source]
    jobs: Sequence[Mapping[str, Any]]
    summary: Mapping[str, Any] | None
    funnel: Sequence[Funnel]
    skipped: SkippedSources
    gaps: Gaps


class Section(NamedTuple):
    """A section: tables by name, figures as SVG by name, what else is shown, and warnings.

    `also` names tables outside the report's own folder from which more can be read.
    """

    tables: Mapping[str, ReportTable] = {}
    figures: Mapping[str, str] = {}
    shown: Mapping[str, Any] = {}
    also: Sequence[str] = ()
    warnings: Sequence[str] = ()


def read_each(run: ReportedRun, names: Iterable[str], read: Callable[[str], Read], *, what: str) -> dict[str, Read]:
    """Read something of each source, by its name; sources that cannot be read are noted and left out."""
    contents = {}
    for name in names:
        with run.gaps.noting(f"{name}, {what}"):
            contents[name] = read(name)
    return contents


def in_words(rejected: Mapping[str, int]) -> dict[str, int]:
    """Counts by the miner's reasons, in the words of a person."""
    return {REASONS.get(reason, reason): count for reason, count in rejected.items()}
