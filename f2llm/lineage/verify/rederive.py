"""A sample of training tuples and of removed rows, made once more from the raw files and compared with the tables."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from f2llm.config.sources import Source
from f2llm.lineage.trace.find import COLUMNS, PASSAGE, QUERY, TEXT_TABLES, TUPLE
from f2llm.lineage.trace.forward import FileRow, places_of
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
Part = tuple[str, bytes, str]  # role, id and text as the tables have them
REMOVED_ROW = "removed row"


class Sampled(NamedTuple):
    """Something that is made once more: a tuple with its texts, or a removed row."""

    kind: str  # tuple | removed row
    source: str
    id: bytes
    parts: list[Part]
    faults: list[str]


class Rederived(NamedTuple):
    """How many of a sample came out the same, and what differs."""

    tuples: int
    removed: int
    texts: int
    differences: list[str]


def rederive(layout: Layout, *, tuples: int, removed: int, seed: int, reread: Reread) -> Rederived:
    """Make a random sample of planned tuples and of removed rows once more, and compare it with the tables.

    Each text must be in the raw files as the tables have it, byte by byte and at the places that
    origins.parquet names and no others; ids must follow from the texts; a removed row must have a
    reason. `reread` gives what the adapter makes of the raw files of a source (`f2llm.sources.replay`).
    """
    sample = _tuples(layout, tuples, seed) + _removed(layout, removed, seed)
    differences: list[str] = []
    for source in layout.sources:
        drawn = [item for item in sample if item.source == source.name]
        if not drawn:
            continue
        ids = {identity for item in drawn for _, identity, _ in item.parts}
        mentions, places = reread(source, ids), places_of(layout, source.name, ids)
        for item in drawn:
            faults = item.faults + [fault for part in item.parts if (fault := _fault(part, mentions, places))]
            differences += [f"{item.kind} {item.id.hex()} of {item.source}: {fault}" for fault in faults]
    kinds = [item.kind for item in sample]
    texts = sum(len(item.parts) for item in sample)
    return Rederived(kinds.count(TUPLE), kinds.count(REMOVED_ROW), texts, differences)


def _fault(
    part: Part,
    mentions: Mapping[tuple[str, bytes], Sequence[Mentioned]],
    places: Mapping[tuple[str, bytes], Sequence[FileRow]],
) -> str:
    role, identity, text = part
    own = mentions.get((role, identity), [])
    if not own:
        return f"{role} {identity.hex()} is not in the raw files"
    if any(mention.text.encode() != text.encode() for mention in own):
        return f"{role} {identity.hex()} has another text in the raw files"
    if {(mention.file, mention.row, mention.field) for mention in own} != set(places[role, identity]):
        return f"{role} {identity.hex()} is at other places of the raw files"
    return ""


def _tuples(layout: Layout, count: int, seed: int) -> list[Sampled]:
    known = ask("SELECT DISTINCT source, tuple_id, tuple_row FROM read_parquet(?)", [layout.plan])
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
        wanted_passages = {row for _, _, positive, negatives in rows for row in (positive, *negatives)}
        passages = rows_at(layout.curated(name) / "corpus.parquet", "doc_id", wanted_passages)
        planned = {identity for source, identity, _ in chosen if source == name}
        for identity, query, positive, negatives in rows:
            parts: list[Part] = [(QUERY, *queries[query])]
            parts += [(PASSAGE, *passages[row]) for row in (positive, *negatives)]
            follows = tuple_id(name, queries[query][0], passages[positive][0]) == identity and identity in planned
            faults = [] if follows else ["its id does not follow from its texts"]
            sample.append(Sampled(TUPLE, name, identity, parts, faults))
    return sample


def _removed(layout: Layout, count: int, seed: int) -> list[Sampled]:
    known = []
    for source in layout.sources:
        path = layout.curated(source.name) / "removed.parquet"
        known += [(source.name, *row) for row in ask("SELECT DISTINCT id, role, reason FROM read_parquet(?)", [path])]
    chosen = sorted(known, key=lambda row: (keyed_hash(seed, "rederive removed", row[1]), row))[:count]
    sample = []
    for name, identity, role, reason in chosen:
        sql = f"SELECT text FROM read_parquet(?) WHERE {COLUMNS[role]} = ?"
        rows = ask(sql, [layout.source(name) / TEXT_TABLES[role]], identity)
        faults = ([] if rows else ["is not in the normalised table"]) + ([] if reason else ["has no reason"])
        sample.append(Sampled(REMOVED_ROW, name, identity, [(role, identity, text) for (text,) in rows], faults))
    return sample
