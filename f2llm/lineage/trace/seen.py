"""What came after a step of training: the checkpoints, models and scores that know what the step saw.

A plan names rows of the tables that it was made of. These may be made anew since, for another run that shares
them, and rows then hold other texts: what a step saw is found by the id of the tuple, which says its texts.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import sha256_file
from f2llm.records.scores import score_files
from f2llm.records.sql import ask, require
from f2llm.runs.layout import Layout

STEP = re.compile(r"step_(\d+)")


class Seen(NamedTuple):
    """What a run made of data that it saw. `steps` of training saw it, from `first` to `last`."""

    run: str
    steps: int
    first: int | None
    last: int | None
    checkpoints: list[str]
    models: list[str]
    scores: list[str]


def seen_by(layout: Layout, steps: Sequence[int]) -> Seen:
    """What a run made after some steps; a checkpoint after the first of them knows what they saw.

    Paths are relative to the folder of results. Files that do not exist (yet, or any more) are not named.
    """
    if not steps:
        return Seen(layout.run, 0, None, None, [], [], [])
    first, last = min(steps), max(steps)
    checkpoints = [
        path
        for path in sorted(layout.of_run("checkpoints").glob("*/step_*"))
        if (match := STEP.fullmatch(path.name)) and int(match[1]) > first
    ]
    model = layout.of_run("model")
    models = [model] if model.is_dir() else []
    scores = score_files(layout.results / "scores" / layout.run) if models else []
    shown = [[str(path.relative_to(layout.results)) for path in paths] for paths in (checkpoints, models, scores)]
    return Seen(layout.run, len(set(steps)), first, last, *shown)


def steps_of(layout: Layout, source: str, tuples: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """(Tuple id, step) of all places in the plan that saw these tuples of a source, by step."""
    sql = (
        "SELECT tuple_id, step FROM read_parquet(?) "
        "WHERE source = ? AND tuple_id IN (SELECT unnest(?)) ORDER BY step, tuple_id"
    )
    return ask(sql, [layout.plan], source, list(tuples)) if tuples else []


def remade(layout: Layout, source: str) -> bool:
    """Say whether the tables of a source are others than those that the run was planned on.

    A run that recorded no hashes is taken at its word.
    """
    planned = layout.planned.get(source, {})
    tuples, tokens = layout.mined(source) / "tuples.parquet", layout.tokens(source) / "meta.json"
    require([tuples])
    recorded = [(planned.get("tuples_sha256"), tuples)]
    recorded += [(planned.get("tokens_sha256"), tokens)] if tokens.is_file() else []
    return any(sha256 and sha256 != _sha256(path, path.stat().st_mtime_ns) for sha256, path in recorded)


def remade_note(run: str, sources: Iterable[str]) -> str | None:
    """The caveat on sources whose tables were made anew, None where there are none."""
    if not (names := ", ".join(sorted(set(sources)))):
        return None
    return (
        f"tables of {names} were made anew since run {run!r} was planned: texts are shown only where ids still fit, "
        "and steps only where a query or its positive was seen; which negatives were drawn, and tuples that are "
        "not in the tables any more, cannot be told"
    )


@functools.lru_cache
def _sha256(path: Path, _changed_ns: int) -> str:
    return sha256_file(path)
