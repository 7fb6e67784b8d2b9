"""Texts that several sources have: the texts, the sources of each, and the counts by pair of sources."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from f2llm.curate.store import Store, scratch
from f2llm.records.files import clear_left_overs, write_json
from f2llm.records.schemas.curate import SHARED
from f2llm.records.schemas.sources import SourceTables
from f2llm.records.tables import ID, count_rows, read_batches, write_table
from f2llm.records.text_keys import content_key

KEYS = pa.schema([("role", pa.string()), ("content_key", pa.string()), ("source", pa.string()), ("id", ID)])


def find_shared(
    curated: Mapping[str, SourceTables], *, table: str | Path, summary: str | Path, memory_mb: int
) -> dict[str, Any]:
    """Write the texts (E1) that at least two sources have (schema SHARED) and how many each two share.

    Passages and queries are compared apart. Returns counts; memory is bounded by `memory_mb`
    and one batch of texts, and by the number of shared texts in one source.
    """
    clear_left_overs(Path(table).parent)
    with scratch(Path(table).parent / ".shared.scratch", memory_mb=memory_mb, threads=1) as store:
        keys = store.folder / "keys.parquet"
        with pq.ParquetWriter(keys, KEYS) as writer:
            for batch in _keys(curated):
                writer.write_table(batch)
        groups = _grouped(keys, store=store)
        rows = _with_texts(groups, curated, store=store) if curated else groups
        count = write_table(table, schema=SHARED, rows=read_batches(rows))
    pairs: Counter[tuple[str, str, str]] = Counter()
    for batch in read_batches(table, columns=["role", "sources"]):
        for role, sources in zip(batch["role"].to_pylist(), batch["sources"].to_pylist(), strict=True):
            pairs.update((role, *pair) for pair in combinations(sources, 2))
    listed = [
        {"role": role, "sources": [left, right], "texts": texts} for (role, left, right), texts in sorted(pairs.items())
    ]
    write_json(summary, {"shared_texts": count, "pairs": listed})
    return {"sources": len(curated), "shared_texts": count, "pairs": len(listed)}


def _keys(curated: Mapping[str, SourceTables]) -> Iterator[pa.Table]:
    for name in sorted(curated):
        for batch in read_batches(curated[name].corpus, columns=["doc_id", "content_key"]):
            yield _key_rows("passage", batch["content_key"], name, batch["doc_id"])
        for batch in read_batches(curated[name].queries, columns=["query_id", "text"]):
            keys = pa.array([content_key(text) for text in batch["text"].to_pylist()], pa.string())
            yield _key_rows("query", keys, name, batch["query_id"])


def _key_rows(role: str, keys: pa.Array, source: str, ids: pa.Array) -> pa.Table:
    rows = len(ids)
    return pa.table([pa.repeat(role, rows), keys, pa.repeat(source, rows), ids.cast(ID)], schema=KEYS)


def _grouped(keys: Path, *, store: Store) -> Path:
    """A table of the keys that several sources have, with the sources and one id in each, in rising order."""
    target = store.folder / "groups.parquet"
    store.engine.execute(
        """COPY (SELECT role, content_key, list(source ORDER BY source) AS sources, list(id ORDER BY source) AS ids
                 FROM (SELECT role, content_key, source, min(id) AS id FROM read_parquet($keys)
                       GROUP BY role, content_key, source)
                 GROUP BY role, content_key HAVING count(*) > 1
                 ORDER BY role, content_key) TO $target (FORMAT parquet)""",
        {"keys": str(keys), "target": str(target)},
    )
    return target


def _with_texts(groups: Path, curated: Mapping[str, SourceTables], *, store: Store) -> Path:
    """The table of `_grouped` with the text that the first source has."""
    target, names = store.folder / "rows.parquet", sorted(curated)
    paths = {role: [str(getattr(curated[name], role)) for name in names] for role in ("corpus", "queries")}
    files = [*paths["corpus"], *paths["queries"]]
    store.engine.register("files", pa.table({"filename": pa.array(files, pa.string()), "source": names * 2}))
    store.engine.execute(
        """COPY (SELECT g.role, g.content_key, g.sources, g.ids, t.text FROM read_parquet($groups) g
                 JOIN (SELECT 'passage' AS role, doc_id AS id, text, filename
                       FROM read_parquet($corpus, filename = true)
                       UNION ALL SELECT 'query', query_id, text, filename
                       FROM read_parquet($queries, filename = true)) t
                 ON t.role = g.role AND t.id = g.ids[1]
                 JOIN files f ON f.filename = t.filename AND f.source = g.sources[1]
                 ORDER BY g.role, g.content_key) TO $target (FORMAT parquet)""",
        {"groups": str(groups), "target": str(target), **paths},
    )
    if count_rows(target) != count_rows(groups):
        raise AssertionError(f"{count_rows(groups)} shared texts found, {count_rows(target)} of them read")
    return target
