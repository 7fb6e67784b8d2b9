"""Audit of a folder of rows made elsewhere: which of its texts contain evaluation texts of a benchmark."""

import gzip
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.curate.decontaminate import EvaluationTexts
from f2llm.curate.folder import PARQUET, audited_files
from f2llm.curate.passages import comparable
from f2llm.errors import InputError
from f2llm.jobs.progress import Progress
from f2llm.records.files import clear_left_overs, write_json
from f2llm.records.sql import ask
from f2llm.records.tables import write_table

TEXTS_PER_PART = 1024
logger = logging.getLogger(__name__)

# audits/{index}/{name}/hits.parquet; in the order of the files, rows and fields, then by task.
AUDIT_HITS = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # relative to the folder
        pa.field("row", pa.int64(), nullable=False),  # 0-based ordinal in the file
        pa.field("field", pa.string(), nullable=False),  # column, inner ones as outer.inner
        pa.field("task", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("test_id", pa.string(), nullable=False),
        pa.field("test_field", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),  # equal | run | 5-grams
        pa.field("containment", pa.float32(), nullable=False),
        # False: too short an evaluation text to tell a copy from a word
        pa.field("counts", pa.bool_(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("test_text", pa.string(), nullable=False),
    ]
)


class AuditedText(NamedTuple):
    """A text of the audited rows and where it stands."""

    file: str
    row: int
    field: str
    text: str


def audit_folder(
    folder: str | Path, *, fields: Sequence[str], evaluation: EvaluationTexts, hits: str | Path, summary: str | Path
) -> dict[str, Any]:
    """Write every (text, task) hit of the rows below `folder` (schema AUDIT_HITS) and a summary; return counts.

    Reads *.jsonl, *.jsonl.gz and *.parquet; `fields` are columns, "outer.inner" for those inside
    others and inside lists of objects, empty for all that hold text. Memory: one part of the texts.

    Raises:
        InputError: no such files, a line that is no JSON object, or a field that no row has.
    """
    top = Path(folder)
    files = audited_files(top)
    if not files:
        raise InputError(
            f"{folder}: no *.jsonl, *.jsonl.gz or *.parquet file below it, or it lies outside {Path.cwd()}; "
            "correct the path, or copy or mount the folder below the working directory"
        )
    clear_left_overs(Path(hits).parent)
    tally = _Tally()
    with Progress(f"audit {folder}", total=None, unit="texts") as bar:
        count = write_table(hits, schema=AUDIT_HITS, rows=_hit_tables(top, files, fields, evaluation, tally, bar))
    if absent := sorted(set(fields) - set(tally.fields)):
        absent, seen = ", ".join(map(repr, absent)), ", ".join(sorted(tally.seen))
        raise InputError(f"{folder}: no row has text in the field {absent}; name some of those that have: {seen}")
    content = _summary(tally, Path(hits), files=len(files), count=count)
    write_json(summary, content)
    for task, hit in content["tasks"].items():
        logger.info("%s: %d texts in %d rows hit %d evaluation texts", task, *hit.values())
    return {key: value for key, value in content.items() if not isinstance(value, dict)}


class _Tally:
    """Counts of what was read, for the summary."""

    def __init__(self) -> None:
        self.fields: Counter[str] = Counter()  # field -> texts matched
        self.seen: set[str] = set()  # fields with text, matched or not
        self.corpora: Counter[str] = Counter()  # task -> texts that equal one of its retrieval corpus


def _summary(tally: _Tally, hits: Path, *, files: int, count: int) -> dict[str, Any]:
    tasks = ask(
        'SELECT task, count(*), count(DISTINCT (file, "row")), count(DISTINCT test_text) FROM read_parquet(?) '
        "WHERE counts GROUP BY task ORDER BY task",
        [hits],
    )
    ((counting, rows),) = ask(
        'SELECT count(*) FILTER (counts), count(DISTINCT (file, "row")) FILTER (counts) FROM read_parquet(?)', [hits]
    )
    return {
        "files": files,
        "texts": tally.fields.total(),
        "texts_by_field": dict(sorted(tally.fields.items())),
        "hits": counting,
        "hits_too_short_to_count": count - counting,
        "rows_hit": rows,
        "tasks": {task: dict(zip(("texts", "rows", "evaluation_texts"), hit, strict=True)) for task, *hit in tasks},
        "equal_to_corpus_texts": dict(sorted(tally.corpora.items())),
    }


def _hit_tables(
    top: Path, files: Sequence[Path], fields: Sequence[str], evaluation: EvaluationTexts, tally: _Tally, bar: Progress
) -> Iterator[pa.Table]:
    for cells in _batches(top, files, fields, tally):
        forms = [comparable(cell.text) for cell in cells]
        hits = evaluation.match(forms)
        tally.fields.update(cell.field for cell in cells)
        tally.corpora.update({task: count for task, count in evaluation.in_corpora(forms).items() if count})
        bar.advance(len(cells))
        hit_cells = [cells[position]._asdict() for position in hits.position.tolist()]
        own = {name: [cell[name] for cell in hit_cells] for name in AuditedText._fields}
        yield pa.table(own | evaluation.columns(hits))


def _batches(top: Path, files: Sequence[Path], fields: Sequence[str], tally: _Tally) -> Iterator[list[AuditedText]]:
    """Yield the texts of the chosen fields, some TEXTS_PER_PART at a time."""
    batch: list[AuditedText] = []
    for path in files:
        name = path.relative_to(top).as_posix()
        for row, content in enumerate(_read_rows(path)):
            for field, text in _texts_of(content, ""):
                tally.seen.add(field)
                if text and (not fields or field in fields):
                    batch.append(AuditedText(name, row, field, text))
            if len(batch) >= TEXTS_PER_PART:
                yield batch
                batch = []
    if batch:
        yield batch


def _read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.name.endswith(PARQUET):
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(TEXTS_PER_PART):
                    yield from batch.to_pylist()
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: not readable as Parquet ({error}); mend it or take it out") from error
        return
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as file:
        number = 1
        try:
            for line in file:
                if line.strip():
                    content = json.loads(line)
                    if not isinstance(content, dict):
                        raise ValueError(f"a {type(content).__name__}, not an object")
                    yield content
                number += 1
        except (ValueError, EOFError, gzip.BadGzipFile) as error:
            raise InputError(f"{path}: line {number}: not a JSON object ({error}); mend it or take it out") from error


def _texts_of(value: Any, field: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - what JSON holds
    """Yield (field, text) of every text in a row; those in a list have the field of the list."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts_of(inner, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_of(inner, field)
