"""Texts that several sources have: the texts, the sources of each, and the counts by pair of sources."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from f2llm.curate.store import Store, scratch
from f2llm.records.files import clear_left_overs, write_json
from f2llm.records.schemas.curate import SHARED
from f2llm.records.tables import ID, count_rows, read_batches, write_table
from f2llm.records.text_keys import content_key

ROLES = ("passage", "query")  # of the tables of `Curated`
KEYS = pa.schema([("role", pa.string()), ("content_key", pa.string()), ("source", pa.string()), ("id", ID)])


class Curated(NamedTuple):
    """The curated tables of a source."""

    corpus: str | Path
    queries: str | Path


def find_shared(
    curated: Mapping[str, Curated], *, table: str | Path, summary: str | Path, memory_mb: int
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
        rows = _with_texts(groups, curated, store=store)
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


def _keys(curated: Mapping[str, Curated]) -> Iterator[pa.Table]:
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


def _with_texts(groups: Path, curated: Mapping[str, Curated], *, store: Store) -> Path:
    """The table of `_grouped` with the text that the first source has."""
    texts, target = store.folder / "texts.parquet", store.folder / "rows.parquet"
    schema = pa.schema([("role", pa.string()), ("id", ID), ("source", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(texts, schema) as writer:
        for name in sorted(curated):
            for role, path, column in zip(ROLES, curated[name], ("doc_id", "query_id"), strict=True):
                wanted = store.engine.execute(
                    "SELECT ids[1] FROM read_parquet($groups) WHERE role = $role AND sources[1] = $name",
                    {"groups": str(groups), "role": role, "name": name},
                ).fetchall()
                ids = pa.array([row_id for (row_id,) in wanted], ID)
                for batch in read_batches(path, columns=[column, "text"]) if len(ids) else ():
                    chosen = batch.filter(pc.is_in(batch[column].cast(ID), ids))
                    fixed = pa.repeat(role, len(chosen)), pa.repeat(name, len(chosen))
                    columns = [fixed[0], chosen[column].cast(ID), fixed[1], chosen["text"]]
                    writer.write_table(pa.table(columns, schema=schema))
    store.engine.execute(
        """COPY (SELECT f.role, f.content_key, f.sources, f.ids, t.text FROM read_parquet($groups) f
                 JOIN read_parquet($texts) t ON t.role = f.role AND t.source = f.sources[1] AND t.id = f.ids[1]
                 ORDER BY f.role, f.content_key) TO $target (FORMAT parquet)""",
        {"groups": str(groups), "texts": str(texts), "target": str(target)},
    )
    if count_rows(target) != count_rows(groups):
        raise AssertionError(f"{count_rows(groups)} shared texts found, {count_rows(target)} of them read")
    return target
