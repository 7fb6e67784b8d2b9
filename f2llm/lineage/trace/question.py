"""`f2llm trace`: what a person names -> findings, shown as text, JSON or a Parquet table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.lineage.trace import find, show
from f2llm.lineage.trace.alike import find_alike
from f2llm.lineage.trace.backward import trace_model, trace_score, trace_step, trace_tuple, unknown_id
from f2llm.lineage.trace.forward import trace_sources, trace_text
from f2llm.lineage.trace.seen import remade, remade_note
from f2llm.records.errors import InputError
from f2llm.records.tables import write_table
from f2llm.runs.layout import Layout, read_layout, runs_in

ALIKE_SHOWN = 3


class Question(NamedTuple):
    """What is traced: exactly one of these is given."""

    id: str | None = None  # of a tuple, query or passage
    step: int | None = None
    model: str | None = None  # a folder
    score: str | None = None  # MODEL/TASK
    source: str | None = None
    row: str | None = None  # FILE:ROW
    text: str | None = None
    like: str | None = None  # a text, but not to the letter
    licence: str | None = None


class Answer(NamedTuple):
    """Something that was found in a run; `finding` is a NamedTuple of `backward` or `forward`, `note` a caveat."""

    run: str
    kind: str
    finding: Any
    note: str | None = None


# Parquet: one row a finding. What has no column of its own is in `content`, as JSON.
ANSWERS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # tuple | text | source | step | model | score
        pa.field("source", pa.string()),
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("steps", pa.int64()),
        pa.field("content", pa.string(), nullable=False),
    ]
)


def answer(results: str | Path, question: Question, *, run: str | None, most: int) -> list[Answer]:
    """Follow what a question names, in one run or, without `run`, in all runs of a results folder.

    `most` bounds the findings of a run and the tuples that each of them lists.

    Raises:
        InputError: not exactly one thing is asked for, or nothing is found (with the nearest).
    """
    asked = [name for name, value in question._asdict().items() if value is not None]
    if len(asked) != 1:
        raise InputError("name one thing to follow: an id or one of the options; `f2llm trace --help` lists them")
    results = Path(results)
    if question.model is not None:
        model = trace_model(results, Path(question.model))
        return [Answer(model.run or "", "model", model)]
    if question.score is not None:
        score = trace_score(results, question.score)
        return [Answer(score.run or "", "score", score)]
    answers, errors = [], []
    for name in [run] if run else runs_in(results):
        try:
            answers += _in_run(read_layout(results, run=name), question, most=most)
        except InputError as error:
            errors += error.faults
    if not answers:
        raise InputError(errors)
    return answers


def as_text(answers: Iterable[Answer]) -> str:
    """Answers as indented lines, a heading for each run."""
    lines, heading = [], None
    for run, kind, finding, note in answers:
        if run != heading:
            lines.append(f"run {run}" if run else "no run")
            lines += [f"  note: {note}"] if note else []
            heading = run
        lines += [f"  {line}" for line in show.LINES[kind](finding)]
    return "\n".join(lines)


def as_json(answers: Iterable[Answer]) -> str:
    """Answers as a JSON list."""
    content = [{"run": run, "kind": kind} | _content(finding, note) for run, kind, finding, note in answers]
    return json.dumps(content, indent=2, ensure_ascii=False)


def write_parquet(path: str | Path, answers: Sequence[Answer]) -> int:
    """Write answers as a table (schema ANSWERS); gives the number of its rows."""
    rows = []
    for run, kind, finding, note in answers:
        content = _content(finding, note)
        licence, seen = content.get("licence"), content.get("seen")
        rows.append(
            {
                "run": run,
                "kind": kind,
                "source": content.get("source"),
                "id": content.get("tuple_id") or content.get("id"),
                "text": content.get("text") or content.get("query"),
                "licence": licence["id"] if isinstance(licence, Mapping) else licence,
                "steps": seen["steps"] if seen else content.get("steps"),
                "content": json.dumps(content, ensure_ascii=False),
            }
        )
    return write_table(path, schema=ANSWERS, rows=[pa.Table.from_pylist(rows, schema=ANSWERS)])


def _in_run(layout: Layout, question: Question, *, most: int) -> list[Answer]:
    if question.step is not None:
        return _answers(layout, "step", trace_step(layout, question.step))
    if question.source is not None:
        return _answers(layout, "source", trace_sources(layout, [find.check_source(layout, question.source)]))
    if question.licence is not None:
        return _answers(layout, "source", trace_sources(layout, find.find_licence(layout, question.licence)))
    if question.like is not None:
        alike = find_alike(layout, question.like, most=min(most, ALIKE_SHOWN))
        if not alike:
            raise InputError(f"run {layout.run!r} has no text like this one")
        return _answers(layout, "text", [trace_text(layout, text.traced, most=most) for text in alike])
    named = ids_named(layout, question)
    tuples = [trace_tuple(layout, traced) for traced in named if traced.kind == find.TUPLE]
    texts = [trace_text(layout, traced, most=most) for traced in named if traced.kind != find.TUPLE]
    return _answers(layout, "tuple", tuples) + _answers(layout, "text", texts[:most])


def _answers(layout: Layout, kind: str, findings: Sequence[Any]) -> list[Answer]:
    """Make findings of one kind answers, with a note on sources whose tables were made anew since."""
    without_text = {finding.source for finding in findings if kind == "step" and not finding.query}
    others = {finding.source for finding in findings} - without_text
    note = remade_note(layout.run, [*without_text, *(source for source in others if remade(layout, source))])
    return [Answer(layout.run, kind, finding, note) for finding in findings]


def ids_named(layout: Layout, question: Question) -> list[find.TracedId]:
    """The tuples, queries and passages of a run that an id, a row or a text names.

    Raises:
        InputError: it names none; with the nearest that there are.
    """
    if question.text is not None:
        texts = find.find_text(layout, question.text)
        if not texts:
            raise InputError(f"run {layout.run!r} has no text that equals this one; --like finds those that nearly do")
        return texts
    if question.row is not None:
        file, _, row = question.row.rpartition(":")
        if not file or not row.isdecimal():
            raise InputError(f"row {question.row!r}: write it FILE:ROW, the row counted from 0 as in origins.parquet")
        return find.find_row(layout, file, int(row))
    wanted = question.id or ""
    identity = find.parse_id(wanted)
    matches = find.find_ids(layout, [identity]) if identity else []
    if not matches:
        raise unknown_id(layout, wanted)
    return matches


def _content(finding: Any, note: str | None) -> dict[str, Any]:  # noqa: ANN401 - a NamedTuple of any kind
    return _plain(finding) | ({"note": note} if note else {})


def _plain(value: Any) -> Any:  # noqa: ANN401 - NamedTuples all the way down to JSON
    if hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
