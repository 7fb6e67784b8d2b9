"""Read raw files once more: the texts that the adapter gives today, to be compared with those in the tables."""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from f2llm.records.files import read_json
from f2llm.records.sql import database
from f2llm.rows.archives import raw_files
from f2llm.sources.normalise import Reading, adapted
from f2llm.sources.records import PASSAGE, QUERY
from f2llm.sources.staging import stage_records

MEMORY_MB = 200


class Mention(NamedTuple):
    """A text that the adapter reads at one place of the raw files."""

    role: str  # query | passage
    id: bytes
    text: str
    file: str
    row: int
    field: str


def read_again(
    source: Reading, *, raw: str | Path, manifest: str | Path, ids: Collection[bytes]
) -> dict[tuple[str, bytes], list[Mention]]:
    """(role, id) -> all mentions of these ids in the raw files, read and adapted as `normalise_source` does.

    Records are staged in a temporary folder, so memory does not grow with the source.

    Raises:
        InputError: a raw file is missing or not what the adapter expects.
    """
    names = [entry["name"] for entry in read_json(manifest)["files"]]
    mentions: dict[tuple[str, bytes], list[Mention]] = {}
    with (
        tempfile.TemporaryDirectory() as staging,
        raw_files(raw, names) as files,
        database(memory_mb=MEMORY_MB) as engine,
    ):
        stage_records(adapted(source, files), Path(staging), task=source.task, source=source.name)
        for role, table, column in ((QUERY, "queries", "query_id"), (PASSAGE, "passages", "doc_id")):
            rows = engine.execute(
                f'SELECT {column}, text, file, "row", field FROM read_parquet(?) '
                f"WHERE {column} IN (SELECT unnest(?)) ORDER BY ALL",
                [str(Path(staging) / f"{table}.parquet"), list(ids)],
            ).fetchall()
            for identity, *rest in rows:
                mentions.setdefault((role, identity), []).append(Mention(role, identity, *rest))
    return mentions
