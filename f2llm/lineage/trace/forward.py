"""From a text or a source forward: removed or kept, in which tuples, seen by which steps, models and scores."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from f2llm.lineage.trace.find import COLUMNS, QUERY, TEXT_TABLES, TracedId
from f2llm.lineage.trace.seen import Seen, remade, seen_by, steps_of
from f2llm.records.sql import ask, require
from f2llm.runs.layout import Layout, read_manifest

IN_ID = ("query", "positive")  # parts of a tuple that its id is made of


class FileRow(NamedTuple):
    """A field of a row of a fetched file that a text came from."""

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
    places: list[FileRow]
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


def trace_text(layout: Layout, traced: TracedId, *, most: int) -> TextTrace:
    """Follow a query or passage to what became of it, with at most `most` of the tuples that it is in."""
    columns = "text, split" if traced.kind == QUERY else "text, NULL"
    sql = f"SELECT {columns} FROM read_parquet(?) WHERE {COLUMNS[traced.kind]} = ?"
    text, split = ask(sql, [layout.source(traced.source) / TEXT_TABLES[traced.kind]], traced.id)[0]
    uses = uses_of(layout, traced)
    steps_of_tuple = _steps(layout, traced, uses)
    return TextTrace(
        source=traced.source,
        licence=read_manifest(layout, traced.source)["licence"]["id"],
        role=traced.kind,
        id=traced.id.hex(),
        text=text,
        split=split,
        places=places_of(layout, traced.source, [traced.id])[traced.kind, traced.id],
        removed=_removals(layout, traced),
        gave_none=_rejections(layout, traced),
        tuples=len(uses),
        uses=[Use(identity.hex(), part, steps_of_tuple.get(identity, [])) for identity, part in uses[:most]],
        seen=seen_by(layout, [step for steps in steps_of_tuple.values() for step in steps]),
    )


def trace_sources(layout: Layout, names: Sequence[str]) -> list[SourceTrace]:
    """Follow sources to what became of them."""
    sql = (
        "SELECT source, step, count(*) FROM read_parquet(?) WHERE source IN (SELECT unnest(?)) "
        "GROUP BY source, step ORDER BY step"
    )
    steps: dict[str, dict[int, int]] = {name: {} for name in names}
    for name, step, places in ask(sql, [layout.plan], list(names)):
        steps[name][step] = places
    return [_source(layout, name, steps[name]) for name in names]


def _source(layout: Layout, name: str, steps: Mapping[int, int]) -> SourceTrace:
    """Trace one source; `steps` maps the steps that saw it to its places in their batches."""
    manifest = read_manifest(layout, name)
    paths = [layout.source(name) / f"{table}.parquet" for table in ("origins", "queries", "corpus")]
    paths += [layout.curated(name) / "removed.parquet", layout.mined(name) / "tuples.parquet"]
    require(paths)
    counts = [ask("SELECT count(*) FROM read_parquet(?)", [path])[0][0] for path in paths]
    seen = seen_by(layout, list(steps))
    return SourceTrace(name, manifest["licence"]["id"], manifest["files"], *counts, sum(steps.values()), seen)


def places_of(layout: Layout, source: str, ids: Collection[bytes]) -> dict[tuple[str, bytes], list[FileRow]]:
    """Every place of the fetched files that the queries and passages of some ids came from, by (kind, id)."""
    sql = (
        'SELECT role, id, file, "row", field FROM read_parquet(?) WHERE id IN (SELECT unnest(?)) '
        'ORDER BY file, "row", field'
    )
    places: defaultdict[tuple[str, bytes], list[FileRow]] = defaultdict(list)
    for role, identity, *place in ask(sql, [layout.source(source) / "origins.parquet"], list(ids)):
        places[role, identity].append(FileRow(*place))
    return places


def _removals(layout: Layout, traced: TracedId) -> list[Removal]:
    sql = (
        "SELECT stage, reason, lower(hex(kept_id)), similarity, evidence FROM read_parquet(?) "
        "WHERE id = ? AND role = ? ORDER BY stage"
    )
    path = layout.curated(traced.source) / "removed.parquet"
    return [Removal(*row) for row in ask(sql, [path], traced.id, traced.kind)]


def _rejections(layout: Layout, traced: TracedId) -> list[str]:
    if traced.kind != QUERY:
        return []
    sql = "SELECT DISTINCT reason FROM read_parquet(?) WHERE query_id = ? ORDER BY reason"
    return [reason for (reason,) in ask(sql, [layout.mined(traced.source) / "rejected.parquet"], traced.id)]


def uses_of(layout: Layout, traced: TracedId) -> list[tuple[bytes, str]]:
    """(Id, part) of the tuples that a text is in, by row; as a positive before as a negative."""
    path = layout.mined(traced.source) / "tuples.parquet"
    if traced.kind == QUERY:
        sql = "SELECT tuple_id, 'query' FROM read_parquet(?, file_row_number = true)"
        return ask(f"{sql} WHERE query_id = ? ORDER BY file_row_number", [path], traced.id)
    row = _row_of(layout, traced)
    if row is None:
        return []
    sql = (
        "SELECT tuple_id, if(positive_row = $2, 'positive', "
        "negative_kinds[list_position(negative_rows, $2)]) AS part "
        "FROM read_parquet($1, file_row_number = true) "
        "WHERE positive_row = $2 OR list_contains(negative_rows, $2) ORDER BY part != 'positive', file_row_number"
    )
    return ask(sql, [path], row)


def _row_of(layout: Layout, traced: TracedId) -> int | None:
    """Row of a passage in the curated corpus, None where curation removed it."""
    sql = "SELECT file_row_number FROM read_parquet(?, file_row_number = true) WHERE doc_id = ?"
    rows = ask(sql, [layout.curated(traced.source) / "corpus.parquet"], traced.id)
    return rows[0][0] if rows else None


def _steps(layout: Layout, traced: TracedId, uses: Sequence[tuple[bytes, str]]) -> dict[bytes, list[int]]:
    """Map the ids of tuples to the steps that saw the text; a negative is seen only where the plan drew it."""
    corpus_row = None if traced.kind == QUERY else _row_of(layout, traced)
    if corpus_row is None or remade(layout, traced.source):
        # Rows of the plan cannot be trusted; ids can, but an id is made of query and positive, not of negatives.
        rows = steps_of(layout, traced.source, [identity for identity, part in uses if part in IN_ID])
    else:
        sql = (
            "SELECT tuple_id, step FROM read_parquet($1) WHERE source = $2 AND tuple_id IN (SELECT unnest($3)) "
            "AND (positive_row = $4 OR list_contains(negative_rows, $4)) ORDER BY step"
        )
        ids = [identity for identity, _ in uses]
        rows = ask(sql, [layout.plan], traced.source, ids, corpus_row) if uses else []
    steps: defaultdict[bytes, list[int]] = defaultdict(list)
    for identity, step in rows:
        steps[identity].append(step)
    return steps
