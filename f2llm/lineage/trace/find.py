"""From what a person can name (an id, a text, a row of a file, a licence) to ids in the tables of a run."""

import difflib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from f2llm.records.errors import InputError
from f2llm.records.ids import ID_BYTES, TASKS, doc_id, query_id
from f2llm.records.sql import ask
from f2llm.records.tables import read_batches
from f2llm.runs.layout import Layout

TUPLE, QUERY, PASSAGE = "tuple", "query", "passage"
COLUMNS = {TUPLE: "tuple_id", QUERY: "query_id", PASSAGE: "doc_id"}
TEXT_TABLES = {QUERY: "queries.parquet", PASSAGE: "corpus.parquet"}
NEAREST = 3
IDS_AT_ONCE = 65_536


class TracedId(NamedTuple):
    """The id of a tuple, query or passage, and the source whose table has it."""

    kind: str  # tuple | query | passage
    source: str
    id: bytes


def tables(layout: Layout, kind: str) -> list[Path]:
    """The tables of all sources that hold the ids of one kind: normalised texts, or tuples."""
    if kind == TUPLE:
        return [layout.mined(source.name) / "tuples.parquet" for source in layout.sources]
    return [layout.source(source.name) / TEXT_TABLES[kind] for source in layout.sources]


def find_ids(layout: Layout, ids: Sequence[bytes], *, kinds: Sequence[str] = (TUPLE, QUERY, PASSAGE)) -> list[TracedId]:
    """Look ids up in all tables: by kind and in the order of the sources, without those that occur nowhere."""
    matches = []
    for kind in kinds:
        column = COLUMNS[kind]
        sql = f"SELECT filename, {column} FROM read_parquet(?, filename = true) WHERE {column} IN (SELECT unnest(?))"
        rows = ask(sql, tables(layout, kind), list(ids))
        matches += [TracedId(kind, Path(name).parent.name, identity) for name, identity in rows]
    order = {source.name: number for number, source in enumerate(layout.sources)}
    return sorted(matches, key=lambda traced: (kinds.index(traced.kind), order[traced.source], traced.id))


def parse_id(text: str) -> bytes | None:
    """Bytes of an id in hex, None for any other text."""
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        return None
    return identity if len(identity) == ID_BYTES else None


def nearest_ids(layout: Layout, wanted: str) -> list[str]:
    """The ids of the run that differ least from `wanted`, most alike first.

    An id with a few wrong digits shares a quarter with the right one: those are compared first, all only
    where none does, or `wanted` is not as long as an id.
    """
    identity = parse_id(wanted)
    close = set() if identity is None else {
        candidate.hex() for kind, column in COLUMNS.items() for path in tables(layout, kind)
        for candidate in _sharing_a_quarter(path, column, identity)
    }  # fmt: skip
    if close:
        return sorted(close, key=lambda candidate: (_digits_off(candidate, wanted), candidate))[:NEAREST]
    known: list[tuple[bool, int, str]] = []
    for kind, column in COLUMNS.items():
        shown = f"lower(hex({column}))"
        sql = (
            f"SELECT NOT starts_with({shown}, $1), levenshtein({shown}, $1) AS far, {shown} FROM read_parquet($2) "
            f"ORDER BY ALL LIMIT {NEAREST}"
        )
        known += ask(sql, wanted.lower(), tables(layout, kind))
    return list(dict.fromkeys(text for _, _, text in sorted(known)))[:NEAREST]


def _sharing_a_quarter(path: Path, column: str, wanted: bytes) -> list[bytes]:
    """Ids of a table of which four bytes, at a multiple of four, are those of `wanted`."""
    sharing = []
    for batch in read_batches(path, columns=[column], rows=IDS_AT_ONCE):
        ids = batch[0]
        quarters_N4 = np.frombuffer(ids.buffers()[1], "<u4")[ids.offset * 4 : (ids.offset + len(ids)) * 4]
        quarters_N4 = quarters_N4.reshape(-1, 4)
        rows = np.flatnonzero((quarters_N4 == np.frombuffer(wanted, "<u4")).any(1))
        sharing += [quarters_N4[row].tobytes() for row in rows.tolist()]
    return sharing


def _digits_off(candidate: str, wanted: str) -> int:
    return sum(left != right for left, right in zip(candidate, wanted.lower(), strict=True))


def find_text(layout: Layout, text: str) -> list[TracedId]:
    """The queries and passages with exactly this text (Unicode NFC)."""
    plain = unicodedata.normalize("NFC", text)
    by_id = find_ids(layout, [doc_id(plain), *(query_id(task, plain) for task in TASKS)], kinds=(QUERY, PASSAGE))
    # The id of a graded pair is made of both its texts, so the text itself is looked up.
    pairs = [layout.source(source.name) / "queries.parquet" for source in layout.sources if source.shape == "sts"]
    sql = "SELECT filename, query_id FROM read_parquet(?, filename = true) WHERE text = ? ORDER BY ALL"
    rows = ask(sql, pairs, plain) if pairs else []
    return [TracedId(QUERY, Path(name).parent.name, identity) for name, identity in rows] + by_id


def find_row(layout: Layout, file: str, row: int) -> list[TracedId]:
    """The queries and passages that came from a row of a fetched file, 0-based as origins.parquet has it.

    `file` may be the end of a name, such as a member of an archive.

    Raises:
        InputError: no source has a text of this row.
    """
    paths = [layout.source(source.name) / "origins.parquet" for source in layout.sources]
    sql = (
        "SELECT DISTINCT filename, role, id FROM read_parquet(?, filename = true) "
        'WHERE "row" = ? AND ends_with(file, ?) ORDER BY filename, role DESC, id'
    )
    rows = ask(sql, paths, row, file)
    if not rows:
        raise InputError(f"{file} row {row}: no text of the run came from it; {_rows_there_are(paths, file)}")
    return [TracedId(role, Path(name).parent.name, identity) for name, role, identity in rows]


def find_licence(layout: Layout, licence: str) -> list[str]:
    """The sources under a licence, by its SPDX id or its beginning ("CC-BY-NC").

    Raises:
        InputError: no source has it; names the licences that there are.
    """
    licences = {source.name: source.licence.id for source in layout.sources}
    wanted = licence.lower()
    names = [name for name, own in licences.items() if any(part.startswith(wanted) for part in own.lower().split())]
    if not names:
        known = ", ".join(sorted({*licences.values()}))
        raise InputError(f"licence {licence!r}: no source of the run has it; there are: {known}")
    return names


def check_source(layout: Layout, name: str) -> str:
    """Give the name back if it is that of a source of the run.

    Raises:
        InputError: the run has no such source; names the nearest.
    """
    known = [source.name for source in layout.sources]
    if name in known:
        return name
    nearest = difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.0)
    raise InputError(f"source {name!r}: run {layout.run!r} has none of this name; nearest: {', '.join(nearest)}")


def _rows_there_are(paths: list[Path], file: str) -> str:
    known = ask('SELECT file, max("row") FROM read_parquet(?) GROUP BY file', paths)
    last = {name: row for name, row in known if name.endswith(file)}
    if last:
        return f"rows that gave texts end at {max(last.values()):,}, and adapters leave some out"
    nearest = difflib.get_close_matches(file, [name for name, _ in known], n=NEAREST, cutoff=0.0)
    return f"nearest files: {', '.join(nearest)}"
