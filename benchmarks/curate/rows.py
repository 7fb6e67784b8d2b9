"""Write passages as the tables of a source, and curate them in a process of their own."""

import hashlib
import random
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.train.host import in_fresh_process, memory_mb

CODE = ("function", "code")
TABLES = ("corpus", "queries", "removed", "near", "hits")


class Setting(NamedTuple):
    """What a curation runs with; the first three may not change the bytes."""

    memory_mb: int = 1000
    threads: int = 1
    rows_per_part: int = 1024
    guard: bool = True


def read_passages(path: Path, count: int | None = None, *, prose: bool = False) -> list[str]:
    """Return the first `count` distinct texts, of prose only or of all kinds."""
    found = pq.read_table(path, columns=["kind", "text"]).to_pydict()
    kinds = zip(found["kind"], found["text"], strict=True)
    return list(dict.fromkeys(text for kind, text in kinds if not (prose and kind in CODE)))[:count]


def write_source(folder: Path, texts: Sequence[str], *, shuffled: int | None = None, group: int = 65_536) -> None:
    """Write the corpus of distinct `texts`, no query and no evaluation text into `folder`; rows by id or shuffled."""
    from f2llm.records.ids import doc_id
    from f2llm.records.schemas.sources import CORPUS, QUERIES
    from f2llm.records.schemas.tasks import TEXTS
    from f2llm.records.tables import write_table
    from f2llm.records.text_keys import content_key

    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted({doc_id(text): text for text in texts}.items())
    if shuffled is not None:
        random.Random(shuffled).shuffle(rows)
    with pq.ParquetWriter(folder / "corpus.parquet", CORPUS, compression="zstd") as writer:
        for start in range(0, len(rows), group):
            part = rows[start : start + group]
            columns = [row[0] for row in part], [row[1] for row in part], [content_key(row[1]) for row in part]
            writer.write_table(pa.table(list(columns), schema=CORPUS), row_group_size=group)
    write_table(folder / "queries.parquet", schema=QUERIES, rows=[])
    write_table(folder / "texts.parquet", schema=TEXTS, rows=[])


def curate(folder: Path, setting: Setting | None = None) -> dict[str, Any]:
    """Curate the source in `folder` in a process of its own; return counts, cost and the hashes of the tables."""
    return in_fresh_process(curate_here, (str(folder), setting or Setting()))


def curate_here(folder: str, setting: Setting) -> dict[str, Any]:
    """Curate in this process. Cost: user and system time of the whole job but for importing, most memory ever held."""
    import duckdb  # noqa: F401 - imported before the clock starts, as are the peers' libraries
    import rensa  # noqa: F401
    import scipy.sparse  # noqa: F401

    from f2llm.config.curate import Across, Curate, Decontaminate, Near
    from f2llm.curate import passages
    from f2llm.curate.output import Outputs
    from f2llm.curate.source import Scope, curate_source
    from f2llm.records.schemas.sources import SourceTables

    passages.ROWS_PER_BATCH = setting.rows_per_part
    near = Near(policy="drop", min_words=20, threshold=0.8, report_threshold=0.7, permutations=120, bands=20,
                guard=setting.guard)  # fmt: skip
    off = Decontaminate(policy="off", containment=0.5, min_words=2, missing="allow", texts=(), query_like=())
    settings = Curate(near=near, decontaminate=off, across=Across(policy="off"), memory_mb=setting.memory_mb)
    source, top = Scope("passages", "retrieval", None, None), Path(folder)
    out = Outputs(*(top / "out" / f"{name}.parquet" for name in TABLES))
    began = cpu_seconds()
    counts = curate_source(
        SourceTables(top / "corpus.parquet", top / "queries.parquet"), out, evaluation_texts="", earlier={},
        held_out={}, in_part=[], source=source, settings=settings, seed=0, threads=setting.threads,
    )  # fmt: skip
    return {
        "cpu_seconds": cpu_seconds() - began,
        "peak_memory_mb": memory_mb("VmHWM"),
        "counts": counts,
        "sha256": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in out._asdict().items()},
    }


def cpu_seconds() -> float:
    """Return the user and system time of this process and of all that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
