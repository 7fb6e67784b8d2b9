"""The sources that a run went on without (`on_source_error: skip`), why, and how much of the data they were."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from f2llm.config.sources import Source
from f2llm.records.files import MANIFEST, read_json
from f2llm.records.schemas.sources import SKIPPED, SkippedSource, SkippedSources
from f2llm.records.tables import read_metadata
from f2llm.runs.gaps import Gaps, NoGaps
from f2llm.runs.layout import Layout, read_layout, source_as_shown
from f2llm.runs.withheld import withheld

MOST_CHARACTERS = 300  # of a reason
NOT_SAID = "no tuples to train on"  # in runs of before, whose run.json has names alone


def read_skipped(layout: Layout, heldout: Sequence[Source], *, gaps: Gaps | None = None) -> SkippedSources:
    """The sources that the plan left out, and those of `heldout` (scored on alone) without rows.

    Reasons are told without secrets and names of this machine. What cannot be read is entered in `gaps`.

    Raises:
        FileNotFoundError: a file of a held-out source is missing, if no `gaps` are given.
    """
    gaps = gaps or NoGaps(layout.results)
    left_out = layout.content.get("left_out", {})
    reasons = dict(left_out) if isinstance(left_out, dict) else dict.fromkeys(left_out, NOT_SAID)
    unsaid = [source.name for source in layout.sources if reasons.get(source.name) == NOT_SAID]
    for name in (*unsaid, *(source.name for source in heldout)):
        with gaps.noting(f"{name}, files"):
            if reason := _reason(layout.source(name)):
                reasons[name] = reason
    everything = (*layout.sources, *heldout)
    stated = _stated(layout.sources)
    return SkippedSources(
        of=len(everything),
        missing=_stated(source for source in layout.sources if source.name in reasons) / stated if stated else None,
        sources=tuple(
            SkippedSource(source.name, one_line(reasons[source.name]), source.expected.queries)
            for source in everything
            if source.name in reasons
        ),
    )


def skipped_of(results: str | Path, *, run: str, heldout: Sequence[Mapping[str, Any]]) -> SkippedSources:
    """`read_skipped` of a run below `results`; of the stanzas of held-out sources what readers are shown.

    Raises:
        InputError: there is no such run.
        FileNotFoundError: a file of a held-out source is missing.
    """
    return read_skipped(read_layout(results, run=run), [source_as_shown(source) for source in heldout])


def one_line(reason: str) -> str:
    """A reason in one line of bounded length, without secrets and names of this machine."""
    line = " ".join(withheld(reason).split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."


def _reason(folder: Path) -> str:
    """Why a normalised source is empty: it could not be fetched, or not be read; "" if it is not."""
    skipped: str | None = read_json(folder / MANIFEST).get(SKIPPED)
    return skipped or read_metadata(folder / "queries.parquet").get(SKIPPED, "")


def _stated(sources: Iterable[Source]) -> int:
    return sum(source.expected.queries or 0 for source in sources)
