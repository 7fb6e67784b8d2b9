"""From what a person can name (an id, a text, a row of a file, a licence) to ids in the tables of a run."""

import difflib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from f2llm.errors import InputError
from f2llm.records.ids import ID_BYTES, doc_id, query_id
from f2llm.records.sql import ask
from f2llm.records.tables import read_batches
from f2llm.runs.layout import Layout

TUPLE, QUERY, PASSAGE = "tuple", "query", "passage"
NEAREST = 3
IDS_AT_ONCE = 65_536
TASKS = ("retrieval", "classification", "clustering", "sts")


class Found(NamedTuple):
    """Something of a source that has an id."""

    kind: str  # tuple | query | passage
    source: str
    id: bytes


def tables(layout: Layout, kind: str) -> list[Path]:
    """Return the tables of all sources that hold the ids of one kind: normalised texts, or tuples."""
    if kind == TUPLE:
        return [layout.mined(source.name) / "tuples.parquet" for source in layout.sources]
    name = "queries" if kind == QUERY else "corpus"
    return [layout.source(source.name) / f"{name}.parquet" for source in layout.sources]


COLUMNS = {TUPLE: "tuple_id", QUERY: "query_id", PASSAGE: "doc_id"}


def find_ids(layout: Layout, ids: Sequence[bytes], *, kinds: Sequence[str] = (TUPLE, QUERY, PASSAGE)) -> list[Found]:
    """Return where ids occur, by kind and in the order of the sources; those that occur nowhere are left out."""
    found = []
    for kind in kinds:
        column = COLUMNS[kind]
        sql = f"SELECT filename, {column} FROM read_parquet(?, filename = true) WHERE {column} IN (SELECT unnest(?))"
        rows = ask(sql, tables(layout, kind), list(ids))
        found += [Found(kind, Path(name).parent.name, identity) for name, identity in rows]
    order = {source.name: number for number, source in enumerate(layout.sources)}
    return sorted(found, key=lambda one: (kinds.index(one.kind), order[one.source], one.id))


def parse_id(text: str) -> bytes | None:
    """Return the bytes of an id in hex, None where a text is none."""
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        return None
    return identity if len(identity) == ID_BYTES else None


def nearest_ids(layout: Layout, wanted: str) -> list[str]:
    """Return the ids of the run that differ least from `wanted`, most alike first.

    An id with a few wrong digits shares a quarter with the right one: those are compared first, all only
    where none does, or `wanted` is not as long as an id.
    """
    identity = parse_id(wanted)
    close = [] if identity is None else [
        one.hex() for kind, column in COLUMNS.items() for path in tables(layout, kind)
        for one in _sharing_a_quarter(path, column, identity)
    ]  # fmt: skip
    if close:
        return sorted(set(close), key=lambda one: (_digits_off(one, wanted), one))[:NEAREST]
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
    found = []
    for batch in read_batches(path, columns=[column], rows=IDS_AT_ONCE):
        ids = batch[0]
        own_N4 = np.frombuffer(ids.buffers()[1], "<u4")[ids.offset * 4 : (ids.offset + len(ids)) * 4].reshape(-1, 4)
        hits = np.flatnonzero((own_N4 == np.frombuffer(wanted, "<u4")).any(1))
        found += [own_N4[at].tobytes() for at in hits.tolist()]
    return found


def _digits_off(one: str, wanted: str) -> int:
    return sum(left != right for left, right in zip(one, wanted.lower(), strict=True))


def find_text(layout: Layout, text: str) -> list[Found]:
    """Return the queries and passages with exactly this text (Unicode NFC)."""
    plain = unicodedata.normalize("NFC", text)
    found = find_ids(layout, [doc_id(plain), *(query_id(task, plain) for task in TASKS)], kinds=(QUERY, PASSAGE))
    # The id of a graded pair is that of both its texts.
    pairs = [layout.source(source.name) / "queries.parquet" for source in layout.sources if source.shape == "sts"]
    sql = "SELECT filename, query_id FROM read_parquet(?, filename = true) WHERE text = ? ORDER BY ALL"
    rows = ask(sql, pairs, plain) if pairs else []
    return [Found(QUERY, Path(name).parent.name, identity) for name, identity in rows] + found


def find_row(layout: Layout, file: str, row: int, *, source: str | None = None) -> list[Found]:
    """Return the queries and passages that came from a row of a fetched file, 0-based as origins.parquet has it.

    `file` may be the end of a name, such as a member of an archive.

    Raises:
        InputError: no source has a text of this row.
    """
    names = [source] if source else [one.name for one in layout.sources]
    paths = [layout.source(name) / "origins.parquet" for name in names]
    sql = (
        "SELECT DISTINCT filename, role, id FROM read_parquet(?, filename = true) "
        'WHERE "row" = ? AND ends_with(file, ?) ORDER BY filename, role DESC, id'
    )
    found = [Found(role, Path(name).parent.name, identity) for name, role, identity in ask(sql, paths, row, file)]
    if not found:
        raise InputError(f"{file} row {row}: no text of the run came from it; {_about_row(paths, file)}")
    return found


def find_licence(layout: Layout, licence: str) -> list[str]:
    """Return the sources under a licence, by its SPDX id or its beginning ("CC-BY-NC").

    Raises:
        InputError: none is; with the licences that there are.
    """
    known = {source.name: source.licence.id for source in layout.sources}
    wanted = licence.lower()
    found = [name for name, of in known.items() if any(part.startswith(wanted) for part in of.lower().split())]
    if not found:
        raise InputError(f"licence {licence!r}: no source of the run has it; there are: {_listed(known.values())}")
    return found


def check_source(layout: Layout, name: str) -> str:
    """Return the name of a source of the run.

    Raises:
        InputError: it is none; with the nearest.
    """
    known = [source.name for source in layout.sources]
    if name in known:
        return name
    nearest = difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.0)
    raise InputError(f"source {name!r}: run {layout.run!r} has none of this name; nearest: {', '.join(nearest)}")


def _about_row(paths: list[Path], file: str) -> str:
    known = ask('SELECT file, max("row") FROM read_parquet(?) GROUP BY file', paths)
    last = {name: row for name, row in known if name.endswith(file)}
    if last:
        return f"rows that gave texts end at {max(last.values()):,}, and adapters leave some out"
    nearest = difflib.get_close_matches(file, [name for name, _ in known], n=NEAREST, cutoff=0.0)
    return f"nearest files: {', '.join(nearest)}"


def _listed(names: object) -> str:
    return ", ".join(sorted(set(names)))  # type: ignore[call-overload]
