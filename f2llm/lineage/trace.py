"""From a training tuple back to the rows and files that it came from."""

import difflib
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from f2llm.errors import InputError
from f2llm.lineage.layout import Layout, read_layout
from f2llm.lineage.rows import rows_at
from f2llm.records.files import read_json
from f2llm.records.tables import read_batches, read_table


class Place(NamedTuple):
    """A row of a fetched file."""

    file: str
    row: int
    field: str


class TracedText(NamedTuple):
    """A text of the tuple, its id, and every place that it came from."""

    role: str
    id: str
    text: str
    places: list[Place]


class Trace(NamedTuple):
    """All that lies behind a tuple. `files` are the manifest entries of the source."""

    tuple_id: str
    source: str
    licence: dict[str, Any]
    files: list[dict[str, Any]]
    texts: list[TracedText]
    steps: list[int]


def trace_tuple(results: Path, run: str, tuple_id: str) -> Trace:
    """Return the trace of a tuple of a run.

    Raises:
        InputError: no such run, or no such tuple (with the nearest ids).
    """
    layout = read_layout(results, run=run)
    known: list[str] = []
    for source in layout.sources:
        tuples = read_table(layout.mined(source.name) / "tuples.parquet")
        ids = [identity.hex() for identity in tuples["tuple_id"].to_pylist()]
        if tuple_id in ids:
            return _trace(layout, source.name, tuples.slice(ids.index(tuple_id), 1).to_pylist()[0])
        known += difflib.get_close_matches(tuple_id, ids, n=1, cutoff=0.0)
    nearest = ", ".join(difflib.get_close_matches(tuple_id, known, n=3, cutoff=0.0))
    raise InputError(f"tuple {tuple_id}: run {run!r} has none of this id; nearest: {nearest}")


def format_trace(trace: Trace) -> str:
    """Return the trace as indented lines."""
    lines = [f"tuple {trace.tuple_id} of source {trace.source}", f"  licence: {trace.licence['id']}"]
    lines.append(f"  seen in steps: {', '.join(map(str, trace.steps)) or 'none'}")
    for text in trace.texts:
        lines.append(f"  {text.role} {text.id}: {text.text[:120]}")
        lines += [f"    {place.file}: row {place.row}, {place.field}" for place in text.places]
    for file in trace.files:
        lines.append(f"  file {file['name']}, {file['bytes']:,} bytes, sha256 {file['sha256']}")
    return "\n".join(lines)


def _trace(layout: Layout, source: str, row: dict[str, Any]) -> Trace:
    manifest = read_json(layout.source(source) / "manifest.json")
    queries = rows_at(layout.curated(source) / "queries.parquet", "query_id", {row["query_row"]})
    wanted = {row["positive_row"], *row["negative_rows"]}
    passages = rows_at(layout.curated(source) / "corpus.parquet", "doc_id", wanted)
    parts = [("query", *queries[row["query_row"]]), ("positive", *passages[row["positive_row"]])]
    parts += [
        (f"negative ({kind})", *passages[at])
        for at, kind in zip(row["negative_rows"], row["negative_kinds"], strict=True)
    ]
    places: dict[bytes, list[Place]] = {}
    identities = {identity for _, identity, _ in parts}
    for batch in read_batches(layout.source(source) / "origins.parquet"):
        for origin in batch.to_pylist():
            if origin["id"] in identities:
                places.setdefault(origin["id"], []).append(Place(origin["file"], origin["row"], origin["field"]))
    plan = read_table(layout.of_run("plan.parquet"), columns=["step", "tuple_id"])
    steps = plan.filter(pc.equal(plan["tuple_id"], row["tuple_id"]))["step"].to_pylist()
    texts = [TracedText(role, identity.hex(), text, places.get(identity, [])) for role, identity, text in parts]
    return Trace(row["tuple_id"].hex(), source, manifest["licence"], manifest["files"], texts, steps)
