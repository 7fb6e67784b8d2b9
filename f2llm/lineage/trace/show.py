"""Each kind of trace as lines for a person."""

from collections.abc import Callable, Sequence
from typing import Any

from f2llm.lineage.trace.backward import ModelTrace, StepRow, TupleTrace
from f2llm.lineage.trace.forward import FileRow, SourceTrace, TextTrace
from f2llm.lineage.trace.seen import Seen

MOST_CHARACTERS = 120
MOST_LISTED = 8


def tuple_lines(trace: TupleTrace) -> list[str]:
    """Lines on a tuple."""
    lines = [f"tuple {trace.tuple_id} of source {trace.source}", f"  licence: {trace.licence['id']}"]
    lines.append(f"  seen in steps: {_listed(trace.steps) or 'none'}")
    for text in trace.texts:
        lines.append(f"  {text.role} {text.id}: {_short(text.text)}")
        lines += _places(text.places)
    return lines + _files(trace.files) + _seen(trace.seen)


def text_lines(trace: TextTrace) -> list[str]:
    """Lines on a query or passage."""
    lines = [f"{trace.role} {trace.id} of source {trace.source}: {_short(trace.text)}", f"  licence: {trace.licence}"]
    lines += [f"  split: {trace.split}"] if trace.split else []
    lines += [line[2:] for line in _places(trace.places)]
    for removal in trace.removed:
        kept = f"; {removal.kept} stands in for it" if removal.kept else ""
        evidence = f" ({removal.evidence})" if removal.evidence else ""
        lines.append(f"  removed in {removal.stage}: {removal.reason}{evidence}{kept}")
    lines += [f"  mining made no tuple of it: {reason}" for reason in trace.gave_none]
    lines.append(f"  in {trace.tuples:,} tuples")
    lines += [
        f"    {use.part} of {use.tuple_id}: {f'steps {_listed(use.steps)}' if use.steps else 'not seen in training'}"
        for use in trace.uses
    ]
    return lines + _seen(trace.seen)


def source_lines(trace: SourceTrace) -> list[str]:
    """Lines on a source."""
    counts = (
        f"  {trace.origins:,} places of the files, {trace.queries:,} queries, {trace.passages:,} passages, "
        f"{trace.removed:,} removed, {trace.tuples:,} tuples, {trace.planned:,} places in the plan"
    )
    return [
        f"source {trace.source}", f"  licence: {trace.licence}", counts, *_files(trace.files), *_seen(trace.seen)
    ]  # fmt: skip


def step_lines(row: StepRow) -> list[str]:
    """Lines on a place in a batch."""
    return [f"{row.slot:4d} {row.source} {row.tuple_id}: {_short(row.query)}"]


def model_lines(trace: ModelTrace) -> list[str]:
    """Lines on a model or score."""
    lines = [trace.path if trace.score is None else f"{trace.path}: {trace.score:.2f} points"]
    lines += [f"  {name}: {count:,} places in the plan, {licence}" for name, licence, count in trace.sources]
    lines += [f"  {trace.steps} steps of training"] if trace.steps else []
    for job in trace.jobs:
        lines.append(f"  made by {job.rule} {job.unit}, code {job.code}")
        lines += [f"    {path} sha256 {digest}" for path, digest in sorted(job.outputs.items())[:MOST_LISTED]]
    return lines


LINES: dict[str, Callable[[Any], list[str]]] = {
    "tuple": tuple_lines,
    "text": text_lines,
    "source": source_lines,
    "step": step_lines,
    "model": model_lines,
    "score": model_lines,
}


def _places(places: Sequence[FileRow]) -> list[str]:
    return [f"    {place.file}: row {place.row}, {place.field}" for place in places]


def _files(files: Sequence[dict[str, Any]]) -> list[str]:
    return [f"  file {file['name']}, {file['bytes']:,} bytes, sha256 {file['sha256']}" for file in files]


def _seen(seen: Seen) -> list[str]:
    if not seen.steps:
        return ["  no step of training saw it"]
    lines = [f"  seen by {seen.steps:,} steps of training, {seen.first} to {seen.last}"]
    for name in ("checkpoints", "models", "scores"):
        paths = getattr(seen, name)
        lines += [f"  {name} with it: {_listed(paths)}"] if paths else []
    return lines


def _listed(items: Sequence[object]) -> str:
    shown = ", ".join(map(str, items[:MOST_LISTED]))
    return shown + (f" and {len(items) - MOST_LISTED:,} more" if len(items) > MOST_LISTED else "")


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= MOST_CHARACTERS else plain[: MOST_CHARACTERS - 3] + "..."
