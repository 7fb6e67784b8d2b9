"""Texts that are like a given one: an index of sketches, made once for a run, and the search in it.

The sketch of a text are the least four hashes of its pairs of neighbouring words: two texts that share
a share J of their pairs share a hash of their sketches in about 1 - (1 - J)^4 of the cases. What the index
finds is ranked by the share of characters that a text and the given one have in common. The index is a
cache below results/lineage/index: it may be deleted, and is made anew when a table has changed.
"""

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.lineage.find import COLUMNS, PASSAGE, QUERY, Found, tables
from f2llm.lineage.layout import Layout
from f2llm.lineage.query import ask, database, require
from f2llm.lineage.rows import rows_at
from f2llm.records.files import atomic_path

SKETCH = 4
CANDIDATES = 24  # read and compared in full
BUILD_MEMORY_MB = 1500
GROUP_ROWS = 16_384
MOST_CHARACTERS = 1000  # of a text that its sketch is made of
DIGITS = 12
# Words in lower case without punctuation; a text of one word is its own pair.
_WORDS = (
    "list_filter(string_split(translate(lower(text[:{most}]), '.,;:!?()[]{{}}\"''\n\t', '                '), ' '), "
    "lambda word: word != '')"
)
_PAIRS = (
    "CASE WHEN len(words) < 2 THEN words "
    "ELSE list_transform(range(1, len(words)), lambda n: words[n] || ' ' || words[n + 1]) END"
)
SKETCH_SQL = f"""
    SELECT *, list_slice(list_sort(list_distinct(
        list_transform(pairs, lambda pair: (hash(pair) >> 32)::UINTEGER))), 1, {SKETCH}) AS sketch
    FROM (SELECT *, {_PAIRS} AS pairs FROM (SELECT *, {_WORDS.format(most=MOST_CHARACTERS)} AS words FROM texts))
"""
logger = logging.getLogger(__name__)


class Alike(NamedTuple):
    """A text like the one that was asked for; `similarity` is 0 to 1, 1 if equal."""

    found: Found
    text: str
    similarity: float


def find_alike(layout: Layout, text: str, *, most: int, least: float = 0.5) -> list[Alike]:
    """Return up to `most` queries and passages like `text`, most alike first, at least `least` alike."""
    from rapidfuzz import fuzz

    index = make_index(layout)
    with database() as connection:
        connection.execute("CREATE TABLE texts AS SELECT ? AS text", [text])
        sketch = connection.execute(f"SELECT sketch FROM ({SKETCH_SQL})").fetchall()[0][0]
    sql = (
        f'SELECT kind, source, "row" FROM read_parquet(?) WHERE hash IN ({",".join(map(str, sketch)) or "NULL"}) '
        f'GROUP BY ALL ORDER BY count(*) DESC, kind, source, "row" LIMIT {CANDIDATES}'
    )
    found = []
    candidates: dict[tuple[str, str], list[int]] = {}
    for kind, source, row in ask(sql, [index]):
        candidates.setdefault((kind, source), []).append(row)
    for (kind, source), rows in candidates.items():
        table = layout.source(source) / ("queries.parquet" if kind == QUERY else "corpus.parquet")
        for identity, other in rows_at(table, COLUMNS[kind], rows).values():
            found.append(Alike(Found(kind, source, identity), other, fuzz.ratio(text, other) / 100))
    close = [one for one in found if one.similarity >= least]
    return sorted(close, key=lambda one: (-one.similarity, one.found))[:most]


def make_index(layout: Layout) -> Path:
    """Return the index of the texts of a run's sources, made now if there is none of these tables."""
    paths = {kind: tables(layout, kind) for kind in (QUERY, PASSAGE)}
    require([path for of in paths.values() for path in of])
    state = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for of in paths.values() for path in of]
    name = hashlib.sha256(repr((state, SKETCH_SQL)).encode()).hexdigest()[:DIGITS]
    index = layout.results / "lineage" / "index" / f"{layout.run}-{name}.parquet"
    if not index.is_file():
        started = time.monotonic()
        for old in index.parent.glob(f"{layout.run}-{'?' * DIGITS}.parquet"):
            old.unlink()
        with atomic_path(index) as aside:
            _write(aside, paths, spill=aside.with_suffix(".spilled"))
        logger.warning(
            "%s: index of texts made, %.1f MB, %.1f s", index, index.stat().st_size / 1e6, time.monotonic() - started
        )
    return index


def _write(index: Path, paths: dict[str, Sequence[Path]], *, spill: Path) -> None:
    with database(memory_mb=BUILD_MEMORY_MB, spill=spill) as connection:
        connection.execute('CREATE TABLE sketches (hash UINTEGER, kind VARCHAR, source VARCHAR, "row" INTEGER)')
        for kind, of in paths.items():
            for path in of:
                texts = "(SELECT text, file_row_number AS place FROM read_parquet(?, file_row_number = true))"
                sketched = SKETCH_SQL.replace("FROM texts", f"FROM {texts}")
                connection.execute(
                    f"INSERT INTO sketches SELECT unnest(sketch), ?, ?, place FROM ({sketched})",
                    [kind, path.parent.name, str(path)],
                )
        connection.execute(
            f"COPY (SELECT * FROM sketches ORDER BY ALL) TO '{str(index).replace(chr(39), chr(39) * 2)}' "
            f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP_ROWS})"
        )
