"""What every step sees, written before training: a pure function of settings, tuples and seed (`order`)."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.build import plain
from f2llm.config.losses import TASKS_OF_TERM
from f2llm.config.train import Train, TrainedSource
from f2llm.errors import InputError
from f2llm.jobs.progress import Progress
from f2llm.plan.figures import Figures
from f2llm.plan.order import Part, PlannedBatch, cut, draw_batch, plan_steps
from f2llm.plan.tokenise import refuse_untrainable
from f2llm.plan.tuples import Tuples, read_tuples, split_rows
from f2llm.records.files import read_json, sha256_file, write_json
from f2llm.records.schemas.plan import PLAN
from f2llm.records.tables import read_metadata, write_table
from f2llm.runs.run_file import PlannedSource, RunFile, Settings

Rows = NDArray[np.int64]
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
    """Write the plans of training and validation and run.json from each source's tuples and meta.json of its tokens.

    A source without tuples to train on is left out where `may_skip` holds. Returns counts: exact steps, tokens,
    padding saved and balance of the processes among them (`Figures`).

    Raises:
        InputError: a source has no tuples to train on or too few negatives, or its tuples and tokens come from other
            texts.
    """
    refuse_untrainable(settings.backbone)
    named = {source.name: source for source in settings.sources}
    read = [read_tuples(tuples[name], name=name, tokens=Path(tokens[name]).parent) for name in sorted(named)]
    share, seed = settings.train.validation.share, settings.seed
    split = [(source, *split_rows(source, share=share, seed=seed)) for source in read]
    left_out = _left_out(split)
    faults = _skip(left_out, sources=len(read), may_skip=may_skip)
    split = [one for one in split if one[0].name not in left_out]
    for source, *_ in split:
        faults += _faults(source, named[source.name], settings=settings.train)
        faults += _strangers(tuples[source.name], tokens[source.name], name=source.name)
    if faults:
        raise InputError(faults)
    parts = [Part(source, trained) for source, trained, _ in split]
    held = [Part(source, rows[: settings.train.validation.most]) for source, _, rows in split]
    figures = Figures(settings.train)
    _write(plan, plan_steps(parts, settings=settings.train, seed=seed), parts, settings=settings, figures=figures)
    unscored = Figures(settings.train)
    _write(validation, _validation_steps(held, settings=settings.train), held, settings=settings, figures=unscored)
    content = RunFile(
        settings=settings,
        backbone_folder=str(backbone_folder),
        variants=dict(variants),
        steps=figures.steps,
        longest_sequence=max(figures.longest_sequence, unscored.longest_sequence),
        plan_sha256=sha256_file(plan),
        validation_sha256=sha256_file(validation),
        sources=tuple(
            _planned(source, tuples[source.name], tokens[source.name], rows=figures.rows_of(source.name))
            for source, *_ in split
        ),
        left_out=tuple(left_out),
    )
    write_json(run, plain(content))
    rows = {source.name: len(trained) for source, trained, _ in split}
    held_rows = {source.name: len(rows) for source, _, rows in split if len(rows)}
    return {"tuples": rows, "held_out": held_rows, "left_out": list(left_out), **figures.counts()}


def _left_out(split: Sequence[tuple[Tuples, Rows, Rows]]) -> dict[str, str]:
    """Return why each source that has nothing to train on has not, with what to do, by its name."""
    return {
        source.name: (
            f"all its {len(held)} tuples are held out; lower train.validation.share"
            if len(held)
            else "no tuples; loosen `mine`"
        )
        for source, trained, held in split
        if not len(trained)
    }


def _skip(left_out: Mapping[str, str], *, sources: int, may_skip: bool) -> list[str]:
    """Say which sources are left out; return the faults where they may not be, or nothing is left."""
    if not may_skip:
        return [f"source {name}: {why} or take it out" for name, why in left_out.items()]
    for name, why in left_out.items():
        logger.warning("source %s is left out: %s", name, why)
    if len(left_out) < sources:
        return []
    return [f"source {name}: {why}; no source has tuples to train on" for name, why in left_out.items()]


def plan_rows(
    steps: Iterable[tuple[PlannedBatch, ...]], tuples: Mapping[str, Tuples], *, settings: Settings, figures: Figures
) -> Iterator[pa.Table]:
    """Yield the rows of plan.parquet, sorted by (step, slot), and count them in `figures`."""
    numbered = enumerate(steps)
    while some := list(islice(numbered, STEPS_AT_ONCE)):
        rows = []
        for step, batches in some:
            slot = 0
            for number, batch in enumerate(batches):
                source = tuples[batch.source]
                drawn = draw_batch(batch, source, settings=settings.train, seed=settings.seed)
                negatives = [
                    source.negative_rows[source.negative_starts[row] + np.array(positions, np.int64)]
                    for row, positions in zip(batch.rows, drawn, strict=True)
                ]
                lengths = figures.add(step, batch.rows, negatives, tuples=source)
                for place, row in enumerate(batch.rows):
                    rows.append(
                        (
                            batch.epoch, step, slot, number, batch.source, source.id_of(row), int(row),
                            int(source.query_rows[row]), int(source.positive_rows[row]), drawn[place],
                            negatives[place].tolist(), lengths[place], STAGE,
                        )
                    )  # fmt: skip
                    slot += 1
        columns = zip(*rows, strict=True)
        yield pa.table([pa.array(column, field.type) for column, field in zip(columns, PLAN, strict=True)], schema=PLAN)


def _write(
    path: str | Path,
    steps: Iterator[tuple[PlannedBatch, ...]],
    parts: Sequence[Part],
    *,
    settings: Settings,
    figures: Figures,
) -> None:
    named = {part.tuples.name: part.tuples for part in parts}
    with Progress(f"plan {Path(path).stem}", total=settings.train.steps, unit="steps") as bar:

        def counted() -> Iterator[tuple[PlannedBatch, ...]]:
            for step in steps:
                yield step
                bar.advance(1)

        write_table(path, schema=PLAN, rows=plan_rows(counted(), named, settings=settings, figures=figures))


def _validation_steps(parts: Sequence[Part], *, settings: Train) -> Iterator[tuple[PlannedBatch, ...]]:
    """Yield the held-out tuples, one batch of one source a "step", source by source."""
    for tuples, rows in parts:
        for index, batch in enumerate(cut(rows, batch_size=settings.batch_size, partial="even")):
            yield (PlannedBatch(-1, tuples.name, index, batch),)


def _faults(source: Tuples, stanza: TrainedSource, *, settings: Train) -> list[str]:
    """Return why the source cannot be trained on: too few negatives, no term of the loss, nothing left to train."""
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


def _strangers(tuples: str | Path, tokens: str | Path, *, name: str) -> list[str]:
    """Return a fault if the row numbers of the tuples are those of another corpus than the tokens'."""
    meta, stored = read_json(tokens), read_metadata(tuples)
    wrong = [key for key in ("corpus_sha256", "queries_sha256") if stored.get(key, meta[key]) != meta[key]]
    return [f"source {name}: {key} of tuples and tokens differ; run mine and tokenise_source again" for key in wrong]


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
