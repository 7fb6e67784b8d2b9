"""The plan of a run, written before training: which tuples every step sees, and with which negatives.

It is a pure function of settings, tuples and seed (f2llm/plan/order.py).
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.build import plain
from f2llm.config.losses import TASKS_OF_TERM
from f2llm.config.train import Train, TrainedSource
from f2llm.jobs.progress import progress
from f2llm.plan.figures import Figures
from f2llm.plan.order import ChosenTuples, PlannedBatch, cut_into_batches, draw_batch, plan_steps
from f2llm.plan.tokenise import refuse_untrainable
from f2llm.plan.tuples import Tuples, read_tuples, split_rows
from f2llm.records.errors import InputError
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.records.schemas.plan import PLAN
from f2llm.records.schemas.sources import SKIPPED
from f2llm.records.tables import read_metadata, write_table
from f2llm.runs.run_file import PlannedSource, RunFile, Settings

STAGE = "train"
STEPS_AT_ONCE = 64
logger = logging.getLogger(__name__)


def plan_run(
    *,
    tuples: Mapping[str, str | Path],
    tokens: Mapping[str, str | Path],
    backbone_folder: str | Path,
    settings: Settings,
    variants: Mapping[str, str],
    may_skip: bool,
    plan: str | Path,
    validation: str | Path,
    run: str | Path,
) -> dict[str, Any]:
    """Write the plans of training and validation, and run.json.

    `tuples` are the tables of tuples by source, `tokens` the meta.json of the token rows by source. A source without
    tuples to train on is left out if `may_skip`. Returns counts, among them exact steps, tokens, padding saved and
    balance of the processes (`Figures.counts`).

    Raises:
        InputError: a source has no tuples to train on or too few negatives, or its tuples and tokens come from
            different texts.
    """
    refuse_untrainable(settings.backbone)
    stanzas = {source.name: source for source in settings.sources}
    read = [read_tuples(tuples[name], name=name, tokens=Path(tokens[name]).parent) for name in sorted(stanzas)]
    share, seed = settings.train.validation.share, settings.seed
    split = [_Split(source, *split_rows(source, share=share, seed=seed)) for source in read]
    skipped = {name: reason for name in stanzas if (reason := read_metadata(tuples[name]).get(SKIPPED))}
    left_out, faults = _left_out(split, skipped=skipped, may_skip=may_skip)
    split = [part for part in split if part.source.name not in left_out]
    for source, *_ in split:
        faults += _training_faults(source, stanzas[source.name], settings=settings.train)
        faults += _mismatched_inputs(tuples[source.name], tokens[source.name], name=source.name)
    if faults:
        raise InputError(faults)
    trained = [ChosenTuples(source, rows) for source, rows, _ in split]
    held_out = [ChosenTuples(source, rows[: settings.train.validation.most]) for source, _, rows in split]
    figures, held_out_figures = Figures(settings.train), Figures(settings.train)
    _write(plan, plan_steps(trained, settings=settings.train, seed=seed), trained, settings=settings, figures=figures)
    validation_steps = _validation_steps(held_out, settings=settings.train)
    _write(validation, validation_steps, held_out, settings=settings, figures=held_out_figures)
    content = RunFile(
        settings=settings,
        backbone_folder=str(backbone_folder),
        variants=dict(variants),
        steps=figures.steps,
        longest_sequence=max(figures.longest_sequence, held_out_figures.longest_sequence),
        plan_sha256=sha256_file(plan),
        validation_sha256=sha256_file(validation),
        sources=tuple(
            _planned(source, tuples[source.name], tokens[source.name], rows=figures.rows[source.name])
            for source, *_ in split
        ),
        left_out=left_out,
    )
    write_json(run, plain(content))
    counts = {source.name: len(rows) for source, rows, _ in split}
    held_out_counts = {source.name: len(rows) for source, _, rows in split if len(rows)}
    return {"tuples": counts, "held_out": held_out_counts, "left_out": list(left_out), **figures.counts()}


class _Split(NamedTuple):
    """The tuples of one source, and their rows that are trained on and held out."""

    source: Tuples
    trained: NDArray[np.int64]
    held_out: NDArray[np.int64]


def _left_out(
    split: Sequence[_Split], *, skipped: Mapping[str, str], may_skip: bool
) -> tuple[dict[str, str], list[str]]:
    """The sources without tuples to train on and why, with a warning for each; faults if they cannot be left out.

    `skipped` are those that an earlier stage skipped, with its reason.
    """
    reasons = {
        source.name: skipped[source.name]
        if source.name in skipped
        else f"all its {len(held_out)} tuples are held out; lower train.validation.share"
        if len(held_out)
        else "no tuples; loosen `mine`"
        for source, trained, held_out in split
        if not len(trained)
    }
    if not may_skip:
        return reasons, [f"source {name}: {why} or take it out" for name, why in reasons.items()]
    for name, why in reasons.items():
        logger.warning("source %s is left out: %s", name, why)
    if len(reasons) < len(split):
        return reasons, []
    return reasons, [f"source {name}: {why}; no source has tuples to train on" for name, why in reasons.items()]


def plan_rows(
    steps: Iterable[tuple[PlannedBatch, ...]], tuples: Mapping[str, Tuples], *, settings: Settings, figures: Figures
) -> Iterator[pa.Table]:
    """The rows of plan.parquet, sorted by (step, slot); `figures` counts them."""
    numbered = enumerate(steps)
    while block := list(islice(numbered, STEPS_AT_ONCE)):
        rows = []
        for step, batches in block:
            slots = count()
            for number, batch in enumerate(batches):
                source = tuples[batch.source]
                drawn = draw_batch(batch, source, settings=settings.train, seed=settings.seed)
                negatives = [
                    source.negative_rows[source.negative_starts[row] + np.array(positions, np.int64)]
                    for row, positions in zip(batch.rows, drawn, strict=True)
                ]
                lengths = figures.add(step, batch.rows, negatives, tuples=source)
                rows += [
                    (
                        batch.epoch, step, next(slots), number, batch.source, source.id_of(row), int(row),
                        int(source.query_rows[row]), int(source.positive_rows[row]), positions,
                        corpus_rows.tolist(), tokens, STAGE,
                    )
                    for row, positions, corpus_rows, tokens in zip(batch.rows, drawn, negatives, lengths, strict=True)
                ]  # fmt: skip
        columns = zip(*rows, strict=True)
        yield pa.table([pa.array(column, field.type) for column, field in zip(columns, PLAN, strict=True)], schema=PLAN)


def _write(
    path: str | Path,
    steps: Iterator[tuple[PlannedBatch, ...]],
    chosen: Sequence[ChosenTuples],
    *,
    settings: Settings,
    figures: Figures,
) -> None:
    by_source = {tuples.name: tuples for tuples, _ in chosen}
    counted = progress(steps, f"plan {Path(path).stem}", total=settings.train.steps, unit="steps")
    write_table(path, schema=PLAN, rows=plan_rows(counted, by_source, settings=settings, figures=figures))


def _validation_steps(chosen: Sequence[ChosenTuples], *, settings: Train) -> Iterator[tuple[PlannedBatch, ...]]:
    """The batches of held-out tuples, source by source, each as a step of its own."""
    for tuples, rows in chosen:
        for index, batch in enumerate(cut_into_batches(rows, batch_size=settings.batch_size, partial="even")):
            yield (PlannedBatch(-1, tuples.name, index, batch),)


def _training_faults(source: Tuples, stanza: TrainedSource, *, settings: Train) -> list[str]:
    """Why the source cannot be trained on: tuples have too few negatives, or no loss term applies to its task."""
    # A binary class has one negative by nature.
    least = settings.negatives if stanza.task != "classification" else 1
    short = np.flatnonzero(source.negatives < least)
    faults = []
    if len(short):
        row = int(short[0])
        faults.append(
            f"source {source.name}: {len(short)} tuples have fewer than {least} negatives, the first is "
            f"{source.id_of(row).hex()} with {source.negatives[row]}; lower train.negatives or raise mine.negatives"
        )
    if not any(stanza.task in TASKS_OF_TERM[term.term] for term in settings.losses):
        faults.append(f"source {source.name}: no term of train.losses applies to {stanza.task}; add the term hard")
    return faults


def _mismatched_inputs(tuples: str | Path, tokens: str | Path, *, name: str) -> list[str]:
    """A fault for each curated table that differs between tuples and tokens, whose rows then do not match."""
    meta, stored = read_json(tokens), read_metadata(tuples)
    keys = [key for key in ("corpus_sha256", "queries_sha256") if stored.get(key, meta[key]) != meta[key]]
    return [f"source {name}: {key} of tuples and tokens differ; run mine and tokenise_source again" for key in keys]


def _planned(source: Tuples, tuples: str | Path, tokens: str | Path, *, rows: int) -> PlannedSource:
    return PlannedSource(
        name=source.name,
        tuples=str(tuples),
        tuples_sha256=sha256_file(tuples),
        tokens=str(Path(tokens).parent),
        tokens_sha256=sha256_file(tokens),
        rows=len(source.ids),
        planned=rows,
    )
