"""From a text or a source forward: removed or kept, in which tuples, seen by which steps, models and scores."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.lineage.trace.find import QUERY, Found
from f2llm.lineage.trace.seen import Seen, remade, seen_by, steps_of
from f2llm.records.sql import ask, require
from f2llm.runs.layout import Layout, read_manifest

SAID = ("query", "positive")  # parts that the id of a tuple says


class Place(NamedTuple):
    """A row of a fetched file."""

    file: str
    row: int
    field: str


class Removal(NamedTuple):
    """Why curation removed a text; `kept` is the id of what stands in for it."""

    stage: str
    reason: str
    kept: str | None
    similarity: float | None
    evidence: str | None


class Use(NamedTuple):
    """A tuple that a text is part of, and the steps that saw the text in it."""

    tuple_id: str
    part: str  # query | positive | mined | given | drawn
    steps: list[int]


class TextTrace(NamedTuple):
    """All that became of one text of one source."""

    source: str
    licence: str
    role: str
    id: str
    text: str
    split: str | None  # of a query
    places: list[Place]
    removed: list[Removal]
    gave_none: list[str]  # reasons why mining made no tuple of the query
    tuples: int
    uses: list[Use]  # the first of them
    seen: Seen


class SourceTrace(NamedTuple):
    """What became of a whole source; counts are rows of the tables."""

    source: str
    licence: str
    files: list[dict[str, Any]]
    origins: int
    queries: int
    passages: int
    removed: int
    tuples: int
    planned: int
    seen: Seen


def trace_text(layout: Layout, found: Found, *, most: int) -> TextTrace:
    """Return what became of a query or passage, with at most `most` of the tuples that it is in."""
    folder = layout.source(found.source)
    table, column = ("queries", "query_id") if found.kind == QUERY else ("corpus", "doc_id")
    columns = "text, split" if found.kind == QUERY else "text, NULL"
    text, split = ask(
        f"SELECT {columns} FROM read_parquet(?) WHERE {column} = ?", [folder / f"{table}.parquet"], found.id
    )[0]
    uses = _uses(layout, found)
    seen = _seen(layout, found, uses)
    shown = [Use(identity.hex(), part, seen.get(identity, [])) for identity, part in uses[:most]]
    return TextTrace(
        found.source,
        read_manifest(layout, found.source)["licence"]["id"],
        found.kind,
        found.id.hex(),
        text,
        split,
        places_of(layout, found),
        _removals(layout, found),
        _rejections(layout, found),
        len(uses),
        shown,
        seen_by(layout, [step for steps in seen.values() for step in steps]),
    )


def trace_sources(layout: Layout, names: Sequence[str]) -> list[SourceTrace]:
    """Return what became of sources."""
    sql = (
        "SELECT source, step, count(*) FROM read_parquet(?) WHERE source IN (SELECT unnest(?)) "
        "GROUP BY source, step ORDER BY step"
    )
    steps: dict[str, dict[int, int]] = {name: {} for name in names}
    for name, step, places in ask(sql, [layout.of_run("plan.parquet")], list(names)):
        steps[name][step] = places
    return [_source(layout, name, steps[name]) for name in names]


def _source(layout: Layout, name: str, steps: Mapping[int, int]) -> SourceTrace:
    manifest = read_manifest(layout, name)
    paths = [layout.source(name) / f"{table}.parquet" for table in ("origins", "queries", "corpus")]
    paths += [layout.curated(name) / "removed.parquet", layout.mined(name) / "tuples.parquet"]
    require(paths)
    counts = [ask("SELECT count(*) FROM read_parquet(?)", [path])[0][0] for path in paths]
    seen = seen_by(layout, list(steps))
    return SourceTrace(name, manifest["licence"]["id"], manifest["files"], *counts, sum(steps.values()), seen)


def places_of(layout: Layout, found: Found) -> list[Place]:
    """Return every place of the fetched files that a query or passage came from."""
    sql = 'SELECT file, "row", field FROM read_parquet(?) WHERE id = ? AND role = ? ORDER BY file, "row", field'
    rows = ask(sql, [layout.source(found.source) / "origins.parquet"], found.id, found.kind)
    return [Place(*row) for row in rows]


def _removals(layout: Layout, found: Found) -> list[Removal]:
    sql = (
        "SELECT stage, reason, lower(hex(kept_id)), similarity, evidence FROM read_parquet(?) "
        "WHERE id = ? AND role = ? ORDER BY stage"
    )
    path = layout.curated(found.source) / "removed.parquet"
    return [Removal(*row) for row in ask(sql, [path], found.id, found.kind)]


def _rejections(layout: Layout, found: Found) -> list[str]:
    if found.kind != QUERY:
        return []
    sql = "SELECT DISTINCT reason FROM read_parquet(?) WHERE query_id = ? ORDER BY reason"
    return [reason for (reason,) in ask(sql, [layout.mined(found.source) / "rejected.parquet"], found.id)]


def _uses(layout: Layout, found: Found) -> list[tuple[bytes, str]]:
    """Return (id, part) of the tuples that a text is in, by row; as a positive before as a negative."""
    path = layout.mined(found.source) / "tuples.parquet"
    if found.kind == QUERY:
        sql = "SELECT tuple_id, 'query' FROM read_parquet(?, file_row_number = true)"
        return ask(f"{sql} WHERE query_id = ? ORDER BY file_row_number", [path], found.id)
    row = row_of(layout, found)
    if row is None:
        return []
    sql = (
        "SELECT tuple_id, if(positive_row = $2, 'positive', "
        "negative_kinds[list_position(negative_rows, $2)]) AS part "
        "FROM read_parquet($1, file_row_number = true) "
        "WHERE positive_row = $2 OR list_contains(negative_rows, $2) ORDER BY part != 'positive', file_row_number"
    )
    return ask(sql, [path], row)


def row_of(layout: Layout, found: Found) -> int | None:
    """Return the row of a passage in the curated corpus, None where it is not in there."""
    sql = "SELECT file_row_number FROM read_parquet(?, file_row_number = true) WHERE doc_id = ?"
    rows = ask(sql, [layout.curated(found.source) / "corpus.parquet"], found.id)
    return rows[0][0] if rows else None


def _seen(layout: Layout, found: Found, uses: Sequence[tuple[bytes, str]]) -> dict[bytes, list[int]]:
    """Return id of the tuples -> steps that saw the text; a negative is seen only where the plan drew it."""
    plan = layout.of_run("plan.parquet")
    at = None if found.kind == QUERY else row_of(layout, found)
    if at is None or remade(layout, found.source):  # the id of a tuple says its query and positive, not its negatives
        rows = steps_of(layout, found.source, [identity for identity, part in uses if part in SAID])
    else:
        sql = (
            "SELECT tuple_id, step FROM read_parquet($1) WHERE source = $2 AND tuple_id IN (SELECT unnest($3)) "
            "AND (positive_row = $4 OR list_contains(negative_rows, $4)) ORDER BY step"
        )
        rows = ask(sql, [plan], found.source, [identity for identity, _ in uses], at) if uses else []
    steps: dict[bytes, list[int]] = {}
    for identity, step in rows:
        steps.setdefault(identity, []).append(step)
    return steps
