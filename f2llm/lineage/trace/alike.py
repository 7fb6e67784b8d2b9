"""Texts that are nearly a given one: an index of sketches, made once for a run, and the search in it.

The sketch of a text is made of the four least hashes of its pairs of neighbouring words. Two texts that share a
fraction J of their pairs share a hash of their sketches in about 1 - (1 - J)^4 of the cases. One wrong letter spoils
every pair of a short text, so the sketch of a text of few words is made of the least hashes of its runs of three
characters, with a space at both ends; texts of PAIR_WORDS to SHORT_WORDS words have both. In scripts without spaces
every letter counts as a word, and LETTERS of them make what a pair is. What the index finds is ranked by the fraction
of displayed characters that a text and the given one have in common. The index is a cache below
results/lineage/index: it may be deleted, and is made anew when a table has changed.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from f2llm.lineage.trace.find import COLUMNS, PASSAGE, QUERY, TracedId, tables
from f2llm.records.files import atomic_path
from f2llm.records.sql import ask, database, require, rows_at
from f2llm.records.text_keys import without_ignorable
from f2llm.records.words import UNSPACED
from f2llm.runs.layout import Layout

SKETCH = 4
SHORT_SKETCH = 8
SHORT_WORDS = 6  # texts up to as many have runs of characters
PAIR_WORDS = 5  # texts from as many have pairs of words
LETTERS = 3  # in the place of a pair
MOST_SHORT_CHARACTERS = 200  # of a text whose runs are taken: one without spaces may be long
CANDIDATES = 24  # read and compared in full
BUILD_MEMORY_MB = 200  # of the engine; the process takes about 150 MB more
BUILD_THREADS = 2  # each needs its share of the memory, so more cores would need more
MOST_CHARACTERS = 1000  # of a text that its sketch is made of
DIGITS = 12
# Lower case without punctuation, without characters that are not displayed ...
_PLAIN = "translate(lower(text[:{most}]), '.,;:!?()[]{{}}\"''\n\t', '                ')"
_DISPLAYED = f"""
    CASE WHEN strlen(text) = length(text) THEN {_PLAIN}
    ELSE regexp_replace({_PLAIN}, '[\\p{{{{Cf}}}}\\x{{{{34F}}}}\\x{{{{FE00}}}}-\\x{{{{FE0F}}}}]', '', 'g') END
"""
# ... and with letters of scripts without spaces set apart.
_LETTER = "".join(f"\\x{{{first:X}}}-\\x{{{last:X}}}" for script in UNSPACED for first, last in script.codes)
_SPACED = f"""
    CASE WHEN lettered THEN
    regexp_replace(regexp_replace(plain, '[^\\p{{L}}\\p{{M}}\\p{{N}}]+', ' ', 'g'),
        '([{_LETTER}]\\p{{M}}*)', ' \\1 ', 'g')
    ELSE plain END
"""
_PAIRS = f"""
    CASE WHEN len(words) < {PAIR_WORDS} THEN []
    WHEN lettered THEN
    list_transform(range(1, len(words) - {LETTERS - 2}), lambda n: array_to_string(words[n:n + {LETTERS - 1}], ' '))
    ELSE list_transform(range(1, len(words)), lambda n: words[n] || ' ' || words[n + 1]) END
"""
_RUNS = f"""
    CASE WHEN len(words) > {SHORT_WORDS} OR len(words) = 0 THEN []
    ELSE list_transform(range(1, len(bordered) - 1), lambda n: bordered[n:n + 2]) END
"""
_HASHES = "list_transform({of}, lambda one: (hash(one) >> 32)::UINTEGER)"
SKETCH_SQL = f"""
    SELECT *, list_distinct(list_concat(
        list_slice(list_sort(list_distinct({_HASHES.format(of=_PAIRS)})), 1, {SKETCH}),
        list_aggregate({_HASHES.format(of=_RUNS)}, 'min', {SHORT_SKETCH}))) AS sketch
    FROM (SELECT *, (' ' || list_aggregate(words[:{SHORT_WORDS}], 'string_agg', ' ') || ' ')[:{MOST_SHORT_CHARACTERS}]
        AS bordered
    FROM (SELECT *, list_filter(string_split({_SPACED}, ' '), lambda word: word != '') AS words
    FROM (SELECT *, strlen(plain) > length(plain) AND regexp_matches(plain, '[{_LETTER}]') AS lettered
    FROM (SELECT *, {_DISPLAYED.format(most=MOST_CHARACTERS)} AS plain FROM texts))))
"""
_TEXTS = "(SELECT text, filename, file_row_number FROM read_parquet($1, filename = true, file_row_number = true))"
INDEX_SQL = f"""
    SELECT unnest(sketch) AS hash, number AS "table", file_row_number::INTEGER AS "row"
    FROM ({SKETCH_SQL.replace("FROM texts", f"FROM {_TEXTS}")}) JOIN names USING (filename) ORDER BY ALL
"""
# Small groups: little is read to find a hash.
FORMAT = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384)"
logger = logging.getLogger(__name__)


class Alike(NamedTuple):
    """A text like the one that was asked for; `similarity` is 0 to 1, 1 if equal."""

    traced: TracedId
    text: str
    similarity: float


def find_alike(layout: Layout, text: str, *, most: int, least: float = 0.5) -> list[Alike]:
    """Up to `most` queries and passages like `text`, most alike first, of a similarity of at least `least`."""
    from rapidfuzz import fuzz

    index, paths = make_index(layout), _tables(layout)
    # The sketch comes from the engine's hash function, so the given text goes through the query that made the index.
    with database(keeps_order=False) as connection:
        connection.execute("CREATE TABLE texts AS SELECT ? AS text", [text])
        sketch = connection.execute(f"SELECT sketch FROM ({SKETCH_SQL})").fetchall()[0][0]
    sql = (
        f'SELECT "table", "row" FROM read_parquet(?) WHERE hash IN ({",".join(map(str, sketch)) or "NULL"}) '
        f'GROUP BY ALL ORDER BY count(*) DESC, "table", "row" LIMIT {CANDIDATES}'
    )
    # Read the texts that share most hashes with it, table by table, and compare them in full.
    candidates: dict[tuple[str, Path], list[int]] = {}
    for table, row in ask(sql, [index]):
        candidates.setdefault(paths[table], []).append(row)
    displayed = without_ignorable(text)
    compared = [
        Alike(TracedId(kind, path.parent.name, identity), other, fuzz.ratio(displayed, without_ignorable(other)) / 100)
        for (kind, path), rows in candidates.items()
        for identity, other in rows_at(path, COLUMNS[kind], rows).values()
    ]
    close = [alike for alike in compared if alike.similarity >= least]
    return sorted(close, key=lambda alike: (-alike.similarity, alike.traced))[:most]


def make_index(layout: Layout) -> Path:
    """Make the index of the texts of a run's sources where there is none of these tables; gives its path."""
    paths = [path for _, path in _tables(layout)]
    require(paths)
    state = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    name = hashlib.sha256(repr((state, SKETCH_SQL, INDEX_SQL)).encode()).hexdigest()[:DIGITS]
    index = layout.results / "lineage" / "index" / f"{layout.run}-{name}.parquet"
    if not index.is_file():
        started = time.monotonic()
        for old in index.parent.glob(f"{layout.run}-{'?' * DIGITS}.parquet"):
            old.unlink()
        with atomic_path(index) as aside:
            write_index(aside, paths)
        logger.warning(
            "%s: index of texts made, %.1f MB, %.1f s", index, index.stat().st_size / 1e6, time.monotonic() - started
        )
    return index


def write_index(index: Path, paths: Sequence[Path], *, memory_mb: int = BUILD_MEMORY_MB) -> None:
    """Write the index of the texts of some tables; what is sorted beyond `memory_mb` spills into a folder beside it."""
    names = [str(path) for path in paths]
    spill = index.with_suffix(".spilled")
    try:
        with database(memory_mb=memory_mb, threads=BUILD_THREADS, spill=spill, keeps_order=False) as connection:
            connection.execute(
                "CREATE TABLE names AS SELECT unnest($1) AS filename, unnest(range(len($1)))::SMALLINT AS number",
                [names],
            )
            connection.execute(f"COPY ({INDEX_SQL}) TO '{str(index).replace(chr(39), chr(39) * 2)}' {FORMAT}", [names])
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _tables(layout: Layout) -> list[tuple[str, Path]]:
    """(Kind, path) of all tables of texts; their order numbers them in the index."""
    return [(kind, path) for kind in (QUERY, PASSAGE) for path in tables(layout, kind)]
