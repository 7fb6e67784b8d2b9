"""Audit of a folder of rows made elsewhere: which of its texts contain evaluation texts of a benchmark."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.curate.decontaminate import EvaluationTexts
from f2llm.curate.passages import comparable
from f2llm.jobs.progress import Progress
from f2llm.records.errors import InputError
from f2llm.records.files import clear_left_overs, write_json
from f2llm.records.sql import ask
from f2llm.records.tables import write_table
from f2llm.rows.archives import RawFile
from f2llm.rows.files import is_hidden, list_files, stays_below
from f2llm.rows.layout import Flaw, RowFile, RowLayout, Values, holds_rows
from f2llm.rows.reader import sound_rows
from f2llm.rows.tables import ALL_SHEETS

TEXTS_PER_PART = 1024
ARCHIVES = (".zip", ".whl")
LAYOUT = RowLayout(sheet=ALL_SHEETS)
logger = logging.getLogger(__name__)

# audits/{index}/{name}/hits.parquet; in the order of the files, rows and fields, then by task.
AUDIT_HITS = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),  # relative to the folder, "archive!member" inside an archive
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
    folder: str | Path,
    *,
    fields: Sequence[str],
    evaluation: EvaluationTexts,
    hits: str | Path,
    summary: str | Path,
    on_unreadable: str = "fail",
) -> dict[str, Any]:
    """Write every (text, task) hit of the rows below `folder` (schema AUDIT_HITS) and a summary; return counts.

    Reads what sources read, in zip archives too; `fields` are columns, "outer.inner" for those inside others and
    inside lists of objects, empty for all that hold text. Memory: one part of the texts. With `on_unreadable` "skip"
    the summary lists what could not be read.

    Raises:
        InputError: no such files, files that cannot be read, or a field that no row has.
    """
    top = Path(folder)
    if not stays_below(top):
        raise InputError(
            f"{folder}: it lies outside {Path.cwd()}; copy or mount the folder below the working directory"
        )
    listing = list_files(top)
    if not (listing.files or listing.faults):
        raise InputError(f"{folder}: no file below it; correct the path")
    if listing.remark:
        logger.warning("%s: %s", folder, listing.remark)
    clear_left_overs(Path(hits).parent)
    tally = _Tally(listing.faults)
    with Progress(f"audit {folder}", total=None, unit="texts") as bar:
        tables = _hit_tables(top, listing.files, fields, evaluation, tally, bar, fail=on_unreadable != "skip")
        count = write_table(hits, schema=AUDIT_HITS, rows=tables)
    if absent := sorted(set(fields) - set(tally.fields)):
        absent, seen = ", ".join(map(repr, absent)), ", ".join(sorted(tally.seen))
        raise InputError(f"{folder}: no row has text in the field {absent}; name some of those that have: {seen}")
    for fault in tally.unread:
        logger.warning("not read: %s", fault)
    content = _summary(tally, Path(hits), count=count)
    write_json(summary, content)
    for task, hit in content["tasks"].items():
        logger.info("%s: %d texts in %d rows hit %d evaluation texts", task, *hit.values())
    return {key: value for key, value in content.items() if not isinstance(value, dict | list)}


class _Tally:
    """Counts of what was read, for the summary."""

    def __init__(self, unread: Sequence[str]) -> None:
        self.unread = list(unread)  # a line for each file that could not be read, or not to its end
        self.files = 0  # that were read to their end
        self.fields: Counter[str] = Counter()  # field -> texts matched
        self.seen: set[str] = set()  # fields with text, matched or not
        self.bytes: set[str] = set()  # fields that hold bytes, which are no text
        self.corpora: Counter[str] = Counter()  # task -> texts that equal one of its retrieval corpus


def _summary(tally: _Tally, hits: Path, *, count: int) -> dict[str, Any]:
    tasks = ask(
        'SELECT task, count(*), count(DISTINCT (file, "row")), count(DISTINCT test_text) FROM read_parquet(?) '
        "WHERE counts GROUP BY task ORDER BY task",
        [hits],
    )
    ((counting, rows),) = ask(
        'SELECT count(*) FILTER (counts), count(DISTINCT (file, "row")) FILTER (counts) FROM read_parquet(?)', [hits]
    )
    return {
        "files": tally.files,
        "files_not_read": len(tally.unread),
        "not_read": tally.unread,
        "columns_of_bytes": sorted(tally.bytes),
        "texts": tally.fields.total(),
        "texts_by_field": dict(sorted(tally.fields.items())),
        "hits": counting,
        "hits_too_short_to_count": count - counting,
        "rows_hit": rows,
        "tasks": {task: dict(zip(("texts", "rows", "evaluation_texts"), hit, strict=True)) for task, *hit in tasks},
        "equal_to_corpus_texts": dict(sorted(tally.corpora.items())),
    }


def _hit_tables(
    top: Path,
    files: Sequence[Path],
    fields: Sequence[str],
    evaluation: EvaluationTexts,
    tally: _Tally,
    bar: Progress,
    *,
    fail: bool,
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
    # Raised before the table is whole, so that no half-audited folder leaves a result.
    if fail and tally.unread:
        raise InputError(
            [*tally.unread, "audit: take these files out, or set `on_unreadable: skip` to go without them"]
        )


def _batches(top: Path, files: Sequence[Path], fields: Sequence[str], tally: _Tally) -> Iterator[list[AuditedText]]:
    """Yield the texts of the chosen fields, some TEXTS_PER_PART at a time."""
    batch: list[AuditedText] = []
    for place in _places(top, files, tally):
        try:
            for row, content in enumerate(sound_rows(place, LAYOUT)):
                batch += _chosen(content, fields, tally, file=place.where, row=row)
                if len(batch) >= TEXTS_PER_PART:
                    yield batch
                    batch = []
            tally.files += 1
        except InputError as error:
            tally.unread += error.faults
    if batch:
        yield batch


def _places(top: Path, files: Sequence[Path], tally: _Tally) -> Iterator[RowFile]:
    """Yield the files and members of archives that hold rows; the others are noted as not read."""
    for path in files:
        file, members = RawFile(path, name=path.relative_to(top).as_posix()), [""]
        if path.suffix.lower() in ARCHIVES:
            try:
                members = [member for member in file.members() if not is_hidden(member)]
            except InputError as error:
                tally.unread += error.faults
                continue
        for place in (RowFile(file, member) for member in members):
            if holds_rows(place.name):
                yield place
            else:
                tally.unread.append(f"{place.where}: its suffix names no format of rows; convert it or take it out")
        file.close()


def _chosen(content: Values | Flaw, fields: Sequence[str], tally: _Tally, *, file: str, row: int) -> list[AuditedText]:
    """The texts of one row in the chosen fields; of a row at fault those that there are."""
    values = content.values if isinstance(content, Flaw) else content
    texts = []
    for field, text in _texts_of(values, ""):
        if isinstance(text, bytes):
            tally.bytes.add(field)
            continue
        tally.seen.add(field)
        if text and (not fields or field in fields):
            texts.append(AuditedText(file, row, field, text.encode("utf-8", "replace").decode()))
    return texts


def _texts_of(value: Any, field: str) -> Iterator[tuple[str, str | bytes]]:  # noqa: ANN401 - what a row holds
    """Yield (field, text) of every text in a row, and bytes; those in a list have the field of the list."""
    if isinstance(value, str | bytes):
        yield field, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts_of(inner, f"{field}.{key}" if field else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_of(inner, field)
