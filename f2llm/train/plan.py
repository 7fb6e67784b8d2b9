"""What every step sees, written before training: a pure function of settings, tuples and seed.

Every batch is of one source, so sources are drawn by size. Within an epoch each source is permuted by
a keyed hash, cut into batches, and the batches of all sources are put in a keyed order; when they run
out before the last step, the next epoch follows. Nothing depends on the order in which rows arrive, on
the number of processes, or on a global generator.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from f2llm.config.build import plain
from f2llm.config.sources import Source
from f2llm.errors import InputError
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.records.ids import keyed_hash
from f2llm.records.schemas import PLAN
from f2llm.records.tables import read_metadata, read_table, write_table
from f2llm.train.settings import IN_BATCH_TASKS, PlannedSource, RunFile, Settings
from f2llm.train.tokenise import refuse_untrainable

STAGE = "train"
STEPS_AT_ONCE = 256
logger = logging.getLogger(__name__)


class Tuples(NamedTuple):
    """Of a source's tuples what the plan needs: ids and the number of negatives, by row."""

    name: str
    ids: tuple[bytes, ...]
    negatives: NDArray[np.int64]


class Step(NamedTuple):
    """One batch: rows of one source's tuples, in the order of the permutation."""

    epoch: int
    source: str
    rows: tuple[int, ...]


def plan_run(
    *,
    tuples: Mapping[str, str | Path],
    tokens: Mapping[str, str | Path],
    backbone_folder: str | Path,
    settings: Settings,
    variants: Mapping[str, str],
    may_skip: bool,
    plan: str | Path,
    run: str | Path,
) -> dict[str, Any]:
    """Write plan.parquet and run.json from each source's tuples and the meta.json of its tokens; return counts.

    A source without tuples is left out where `may_skip` holds.

    Raises:
        InputError: a source has no tuples or too few negatives, or its tuples and tokens come from other texts.
    """
    refuse_untrainable(settings.backbone)
    named = {source.name: source for source in settings.sources}
    read = [read_tuples(tuples[name], name=name) for name in sorted(named)]
    left_out = [source.name for source in read if not source.ids]
    faults = [] if may_skip else [f"source {name}: no tuples; loosen `mine` or take it out" for name in left_out]
    for name in left_out if may_skip else ():
        logger.warning("source %s has no tuples and is left out", name)
    kept = [source for source in read if source.ids]
    faults += ["no source has tuples; nothing can be trained"] if not kept and may_skip else []
    for source in kept:
        several = named[source.name].task != "classification"
        faults += _too_few(source, wanted=settings.train.negatives, several=several)
        faults += _without_loss(named[source.name], terms={term.term for term in settings.train.losses})
        faults += _strangers(tuples[source.name], tokens[source.name], name=source.name)
    if faults:
        raise InputError(faults)
    steps = list(plan_steps(kept, steps=settings.train.steps, batch_size=settings.train.batch_size, seed=settings.seed))
    write_table(plan, schema=PLAN, rows=plan_rows(steps, kept, negatives=settings.train.negatives, seed=settings.seed))
    planned = [_planned(source, tuples[source.name], tokens[source.name]) for source in kept]
    content = RunFile(
        settings=settings,
        backbone_folder=str(backbone_folder),
        variants=dict(variants),
        plan_sha256=sha256_file(plan),
        sources=tuple(planned),
        left_out=tuple(left_out),
    )
    write_json(run, plain(content))
    return _counts(steps, kept, left_out, batch_size=settings.train.batch_size)


def read_tuples(path: str | Path, *, name: str) -> Tuples:
    """Read ids and negative counts of one source's tuples."""
    table = read_table(path, columns=["tuple_id", "negative_rows"])
    counts = pc.list_value_length(table["negative_rows"]).to_numpy().astype(np.int64)
    return Tuples(name=name, ids=tuple(table["tuple_id"].to_pylist()), negatives=counts)


def plan_steps(sources: Sequence[Tuples], *, steps: int, batch_size: int, seed: int) -> Iterator[Step]:
    """Yield `steps` batches. A source's last partial batch is used only where the source has no full one."""
    epoch = made = 0
    while True:
        for step in _epoch(sources, epoch=epoch, batch_size=batch_size, seed=seed):
            if made == steps:
                return
            yield step
            made += 1
        epoch += 1


def draw_negatives(available: int, *, count: int, seed: int, epoch: int, tuple_id: bytes) -> list[int]:
    """Return min(count, available) distinct positions below `available`, keyed by (seed, epoch, tuple)."""
    positions = list(range(available))
    for place in range(min(count, available)):
        other = place + keyed_hash(seed, "negatives", epoch, tuple_id, place) % (available - place)
        positions[place], positions[other] = positions[other], positions[place]
    return positions[:count]


def plan_rows(steps: Sequence[Step], sources: Sequence[Tuples], *, negatives: int, seed: int) -> Iterator[pa.Table]:
    """Yield the rows of plan.parquet, sorted by (step, slot)."""
    by_name = {source.name: source for source in sources}
    for first in range(0, len(steps), STEPS_AT_ONCE):
        rows = []
        for number, step in enumerate(steps[first : first + STEPS_AT_ONCE], start=first):
            source = by_name[step.source]
            for slot, row in enumerate(step.rows):
                drawn = draw_negatives(
                    int(source.negatives[row]), count=negatives, seed=seed, epoch=step.epoch, tuple_id=source.ids[row]
                )
                rows.append((step.epoch, number, slot, step.source, source.ids[row], row, drawn, STAGE))
        columns = zip(*rows, strict=True)
        yield pa.table([pa.array(column, field.type) for column, field in zip(columns, PLAN, strict=True)], schema=PLAN)


def _epoch(sources: Sequence[Tuples], *, epoch: int, batch_size: int, seed: int) -> list[Step]:
    """Return all batches of one epoch in their keyed order."""
    keyed = []
    for source in sources:
        keys = [keyed_hash(seed, "plan", epoch, tuple_id) for tuple_id in source.ids]
        order = sorted(range(len(keys)), key=lambda row, source=source, keys=keys: (keys[row], source.ids[row]))
        for index in range(max(1, len(order) // batch_size)):
            rows = order[index * batch_size : (index + 1) * batch_size]
            place = keyed_hash(seed, "batch", epoch, source.name, index)
            keyed.append((place, source.name, index, Step(epoch, source.name, tuple(rows))))
    return [step for *_, step in sorted(keyed)]


def _too_few(source: Tuples, *, wanted: int, several: bool) -> list[str]:
    """Return a fault if a tuple has fewer negatives than a step draws (a binary class has one by nature)."""
    least = wanted if several else 1
    short = np.flatnonzero(source.negatives < least)
    if not len(short):
        return []
    row = int(short[0])
    return [
        f"source {source.name}: {len(short)} tuples have fewer than {least} negatives, the first is "
        f"{source.ids[row].hex()} with {source.negatives[row]}; lower train.negatives or raise mine.negatives"
    ]


def _without_loss(source: Source, *, terms: set[str]) -> list[str]:
    """Return a fault if no term of the loss applies to the source."""
    if "hard" in terms or source.task in IN_BATCH_TASKS:
        return []
    return [f"source {source.name}: no term of train.losses applies to {source.task}; add the term hard"]


def _strangers(tuples: str | Path, tokens: str | Path, *, name: str) -> list[str]:
    """Return a fault if the row numbers of the tuples are those of another corpus than the tokens'."""
    meta, stored = read_json(tokens), read_metadata(tuples)
    wrong = [key for key in ("corpus_sha256", "queries_sha256") if stored.get(key, meta[key]) != meta[key]]
    return [f"source {name}: {key} of tuples and tokens differ; run mine and tokenise_source again" for key in wrong]


def _planned(source: Tuples, tuples: str | Path, tokens: str | Path) -> PlannedSource:
    return PlannedSource(
        name=source.name,
        tuples=str(tuples),
        tuples_sha256=sha256_file(tuples),
        tokens=str(Path(tokens).parent),
        tokens_sha256=sha256_file(tokens),
        rows=len(source.ids),
    )


def _counts(
    steps: Sequence[Step], sources: Sequence[Tuples], left_out: Sequence[str], *, batch_size: int
) -> dict[str, Any]:
    """Return what is in the plan, and per epoch the rows that no full batch took."""
    in_partial = {source.name: len(source.ids) % batch_size for source in sources if len(source.ids) >= batch_size}
    per_source = {source.name: 0 for source in sources}
    for step in steps:
        per_source[step.source] += len(step.rows)
    return {
        "tuples": sum(len(source.ids) for source in sources),
        "steps": len(steps),
        "epochs": steps[-1].epoch + 1,
        "rows": sum(per_source.values()),
        "rows_per_source": per_source,
        "dropped_per_epoch": in_partial,
        "dropped_each_epoch": sum(in_partial.values()),
        "left_out": list(left_out),
    }
