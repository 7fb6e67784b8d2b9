"""A sample of training tuples and of removed rows, made once more from the raw files and compared with the tables."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from f2llm.config.sources import Source
from f2llm.lineage.trace.find import PASSAGE, QUERY
from f2llm.records.ids import keyed_hash, tuple_id
from f2llm.records.sql import ask, rows_at
from f2llm.runs.layout import Layout


class Mentioned(Protocol):
    """A text as an adapter gives it, with its place."""

    text: str
    file: str
    row: int
    field: str


Reread = Callable[[Source, Collection[bytes]], Mapping[tuple[str, bytes], Sequence[Mentioned]]]
Parts = list[tuple[str, bytes, str]]  # role, id and text as the tables have them


class Sampled(NamedTuple):
    """Something that is made once more: a tuple with its texts, or a removed row."""

    kind: str  # tuple | removed row
    source: str
    id: bytes
    parts: Parts
    faults: list[str]


class Rederived(NamedTuple):
    """How many of a sample came out the same, and what differs."""

    tuples: int
    removed: int
    texts: int
    differences: list[str]


def rederive(layout: Layout, *, tuples: int, removed: int, seed: int, reread: Reread) -> Rederived:
    """Return the outcome of making a random sample of planned tuples and of removed rows once more.

    Each text must be in the raw files as the tables have it, byte by byte and at the places that
    origins.parquet names and no others; ids must follow from the texts; a removed row must have a
    reason. `reread` gives what the adapter makes of the raw files of a source (`f2llm.sources.replay`).
    """
    sample = _tuples(layout, tuples, seed) + _removed(layout, removed, seed)
    differences: list[str] = []
    texts = 0
    for source in layout.sources:
        own = [one for one in sample if one.source == source.name]
        ids = {identity for one in own for _, identity, _ in one.parts}
        found = reread(source, ids) if own else {}
        places = _origins(layout, source.name, ids) if own else {}
        for one in own:
            texts += len(one.parts)
            faults = one.faults + [fault for part in one.parts if (fault := _fault(part, found, places))]
            differences += [f"{one.kind} {one.id.hex()} of {one.source}: {fault}" for fault in faults]
    kinds = [one.kind for one in sample]
    return Rederived(kinds.count("tuple"), kinds.count("removed row"), texts, differences)


def _fault(
    part: tuple[str, bytes, str],
    found: Mapping[tuple[str, bytes], Sequence[Mentioned]],
    places: Mapping[tuple[str, bytes], set[tuple[str, int, str]]],
) -> str:
    role, identity, text = part
    mentions = found.get((role, identity), [])
    if not mentions:
        return f"{role} {identity.hex()} is not in the raw files"
    if any(one.text.encode() != text.encode() for one in mentions):
        return f"{role} {identity.hex()} has another text in the raw files"
    if {(one.file, one.row, one.field) for one in mentions} != places.get((role, identity), set()):
        return f"{role} {identity.hex()} is at other places of the raw files"
    return ""


def _tuples(layout: Layout, count: int, seed: int) -> list[Sampled]:
    known = ask("SELECT DISTINCT source, tuple_id, tuple_row FROM read_parquet(?)", [layout.of_run("plan.parquet")])
    chosen = sorted(known, key=lambda row: keyed_hash(seed, "rederive", row[1]))[:count]
    sample = []
    for name in sorted({source for source, _, _ in chosen}):
        sql = (
            "SELECT tuple_id, query_row, positive_row, negative_rows "
            "FROM read_parquet(?, file_row_number = true) WHERE file_row_number IN (SELECT unnest(?))"
        )
        wanted = [row for source, _, row in chosen if source == name]
        rows = ask(sql, [layout.mined(name) / "tuples.parquet"], wanted)
        queries = rows_at(layout.curated(name) / "queries.parquet", "query_id", {row[1] for row in rows})
        at = {place for _, _, positive, negatives in rows for place in (positive, *negatives)}
        passages = rows_at(layout.curated(name) / "corpus.parquet", "doc_id", at)
        planned = {identity for source, identity, _ in chosen if source == name}
        for identity, query, positive, negatives in rows:
            parts: Parts = [(QUERY, *queries[query])]
            parts += [(PASSAGE, *passages[place]) for place in (positive, *negatives)]
            right = tuple_id(name, queries[query][0], passages[positive][0]) == identity and identity in planned
            sample.append(
                Sampled("tuple", name, identity, parts, [] if right else ["its id does not follow from its texts"])
            )
    return sample


def _removed(layout: Layout, count: int, seed: int) -> list[Sampled]:
    known = []
    for source in layout.sources:
        path = layout.curated(source.name) / "removed.parquet"
        known += [(source.name, *row) for row in ask("SELECT DISTINCT id, role, reason FROM read_parquet(?)", [path])]
    chosen = sorted(known, key=lambda row: (keyed_hash(seed, "rederive removed", row[1]), row))[:count]
    sample = []
    for name, identity, role, reason in chosen:
        table, column = ("queries", "query_id") if role == QUERY else ("corpus", "doc_id")
        sql = f"SELECT text FROM read_parquet(?) WHERE {column} = ?"
        rows = ask(sql, [layout.source(name) / f"{table}.parquet"], identity)
        faults = ([] if rows else ["is not in the normalised table"]) + ([] if reason else ["has no reason"])
        sample.append(Sampled("removed row", name, identity, [(role, identity, text) for (text,) in rows], faults))
    return sample


def _origins(layout: Layout, source: str, ids: Collection[bytes]) -> dict[tuple[str, bytes], set[tuple[str, int, str]]]:
    sql = 'SELECT role, id, file, "row", field FROM read_parquet(?) WHERE id IN (SELECT unnest(?))'
    places: dict[tuple[str, bytes], set[tuple[str, int, str]]] = {}
    for role, identity, *place in ask(sql, [layout.source(source) / "origins.parquet"], list(ids)):
        places.setdefault((role, identity), set()).add(tuple(place))
    return places
