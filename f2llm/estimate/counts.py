"""How many rows each table of a run has or will have: from the table itself, from an earlier run, or from its stanza.

`config/counts.lock.json` holds what a finished run counted (`f2llm estimate --record`). Its figures are exact for the
same files, adapter and settings, and a guide for others.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.geometry import LOCK, known_geometry, model_digest, read_geometry
from f2llm.config.models import Geometry, Model
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.config.variants import curation_key, digest, mining_key
from f2llm.records.files import read_json, write_json

# Of the groups of a source that holds rows out (f2llm/records/ids.py: eight of ten go to train).
TRAIN_SHARE = 0.8
# Of the pairs of the embedded default: what the selection rule keeps.
KEPT_SHARE = 0.9
# Bytes of a token of English text, as a model's tokenizer cuts it.
TOKEN_BYTES = 4.5
MB = 1e6
TABLES = ("corpus", "queries")


class Rows(NamedTuple):
    """Rows of a source: queries (of tuples: the tuples), passages, their texts in MB of 10**6 bytes."""

    queries: int
    passages: int
    query_mb: float
    passage_mb: float
    how: str  # table: counted on disk | recorded: by an earlier run, exact | about: a guide | stated: by a publication

    @property
    def text_mb(self) -> float:
        """Texts of both roles."""
        return self.query_mb + self.passage_mb

    @property
    def texts(self) -> int:
        """Rows of both roles."""
        return self.queries + self.passages


class Counts:
    """Rows of the sources of `run`, as far as they are known."""

    def __init__(self, run: Run, *, results: str | Path = "results", lock: str | Path = LOCK) -> None:
        self.run, self.results = run, Path(results)
        self.curation, self.mining = curation_key(run), mining_key(run)
        self._digests: dict[tuple[str, str], str] = {}
        self._lock: dict[str, Any] = read_json(lock) if Path(lock).is_file() else {}

    def stamps(self, source: Source) -> tuple[int, ...]:
        """Return what changes when a table of a source is made or made anew."""
        folders = (
            self.results / "sources" / source.name / "queries.parquet",
            self.results / "curated" / self.curation / source.name / "queries.parquet",
        )
        return tuple(_changed(path) for path in folders)

    def normalised(self, source: Source) -> Rows | None:
        """Return the rows of a source as it is read, all splits."""
        return (
            on_disk(self.results / "sources" / source.name)
            or self._recorded("normalised", source.name, self._reading_digest(source))
            or _stated(source)
        )

    def curated(self, source: Source) -> Rows | None:
        """Return the training rows of a source, within its caps."""
        found = on_disk(self.results / "curated" / self.curation / source.name)
        found = found or self._recorded("curated", source.name, self._curated_digest(source))
        if found and found.how != "about":
            return found
        whole = self.normalised(source)
        if whole is None or whole.how == "stated":
            return whole
        share = TRAIN_SHARE if source.held_out else 1.0
        queries = _within(round(whole.queries * share), source.max_queries)
        # A class or topic keeps its texts with its queries.
        passages = _within(queries if source.shape == "clustering" else whole.passages, source.max_passages)
        return Rows(
            queries, passages, whole.query_mb * queries / max(1, whole.queries),
            whole.passage_mb * passages / max(1, whole.passages), "about",
        )  # fmt: skip

    def tuples(self, source: Source) -> Rows | None:
        """Return the mined tuples of a source in `queries`."""
        path = self.results / "mined" / self.mining / source.name / "tuples.parquet"
        with contextlib.suppress(OSError, ValueError):
            return Rows(_footer(str(path), path.stat().st_mtime_ns)[0], 0, 0.0, 0.0, "table")
        found = self._recorded("mined", source.name, self._mined_digest(source))
        curated = self.curated(source)
        if (found and found.how != "about") or curated is None:
            return found
        if curated.how == "stated":
            return curated
        share = KEPT_SHARE if source.task == "retrieval" else 1.0
        before = self._lock.get("curated", {}).get(source.name)
        if found and before:
            share = found.queries / max(1, before["queries"])
        return Rows(round(curated.queries * share), 0, 0.0, 0.0, "about")

    def raw_mb(self, source: Source) -> float | None:
        """Return the size of a source's files as fetched."""
        manifest = self.results / "sources" / source.name / "manifest.json"
        with contextlib.suppress(OSError, ValueError):
            return sum(file["bytes"] for file in read_json(manifest)["files"]) / MB
        entry = self._lock.get("normalised", {}).get(source.name, {})
        return entry.get("raw_mb")

    def model_files_mb(self, model: Model) -> float | None:
        """Return the size of a model's files as fetched, which stay in the store beside what is made of them."""
        manifest = self.results / "models" / model.name / "manifest.json"
        with contextlib.suppress(OSError, ValueError):
            return sum(file["bytes"] for file in read_json(manifest)["files"]) / MB
        entry = self._lock.get("models", {}).get(model.name)
        return entry["files_mb"] if entry and entry["digest"] == model_digest(model) else None

    def geometry(self, model: Model) -> Geometry | None:
        """Return the shape of a model: stated, of its files, or as recorded."""
        folder = self.results / "models" / model.name / "model"
        if not model.geometry:
            with contextlib.suppress(OSError, ValueError, KeyError):  # not there, damaged, or of another family
                return read_geometry(folder)
        return known_geometry(model, self._lock)

    def record(self, path: str | Path = LOCK) -> int:
        """Write what the tables on disk count into the lock file, and return how many sources are in it.

        Sources of other runs keep their entries.
        """
        lock: dict[str, Any] = {
            key: dict(self._lock.get(key, {})) for key in ("normalised", "curated", "mined", "models")
        }
        for source in (*self.run.sources, *self.run.heldout_sources):
            if whole := on_disk(self.results / "sources" / source.name):
                entry = _entry(reading_digest(source), whole) | {"raw_mb": round(self.raw_mb(source) or 0.0, 3)}
                lock["normalised"][source.name] = entry
        for source in self.run.sources:
            curated, tuples = self.curated(source), self.tuples(source)
            if curated and tuples and tuples.how == "table":
                lock["curated"][source.name] = _entry(self._curated_digest(source), curated)
                lock["mined"][source.name] = _entry(self._mined_digest(source), tuples)
        for model in (self.run.backbone, self.run.retriever):
            if geometry := self.geometry(model):
                files_mb = round(self.model_files_mb(model) or 0.0, 3)
                entry = {"digest": model_digest(model), "geometry": asdict(geometry), "files_mb": files_mb}
                lock["models"][model.name] = entry
        write_json(path, lock)
        return len(lock["normalised"])

    def _reading_digest(self, source: Source) -> str:
        return self._once("normalised", source, lambda: reading_digest(source))

    def _curated_digest(self, source: Source) -> str:
        caps = (source.max_queries, source.max_passages)
        return self._once("curated", source, lambda: digest([self.curation, *caps, self._reading_digest(source)]))

    def _mined_digest(self, source: Source) -> str:
        return self._once("mined", source, lambda: digest([self.mining, self._curated_digest(source)]))

    def _once(self, stage: str, source: Source, make: Callable[[], str]) -> str:
        key = (stage, source.name)
        if key not in self._digests:
            self._digests[key] = make()
        return self._digests[key]

    def _recorded(self, stage: str, name: str, key: str) -> Rows | None:
        entry: Mapping[str, Any] | None = self._lock.get(stage, {}).get(name)
        if entry is None:
            return None
        how = "recorded" if entry["digest"] == key else "about"
        return Rows(entry["queries"], entry["passages"], entry["query_mb"], entry["passage_mb"], how)


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def on_disk(folder: str | Path) -> Rows | None:
    """Return the rows of corpus and queries in a folder, from the footers of the tables.

    None where one is missing or damaged: planning says nothing of that, the job that reads it does.
    """
    try:
        stamps = [(str(Path(folder, f"{name}.parquet")), os.stat(Path(folder, f"{name}.parquet"))) for name in TABLES]
        (passages, corpus_bytes), (queries, query_bytes) = (_footer(path, stat.st_mtime_ns) for path, stat in stamps)
    except (OSError, ValueError):
        return None
    return Rows(queries, passages, query_bytes / MB, corpus_bytes / MB, "table")


def reading_digest(source: Source) -> str:
    """Return what decides the rows of a source: its files, adapter and options."""
    return digest([source.fetch, source.adapter, source.options, source.held_out])


@functools.lru_cache(maxsize=100_000)
def _footer(path: str, _changed: int) -> tuple[int, int]:
    """Return the rows of a table and the uncompressed bytes of its texts; cached until the file changes."""
    import pyarrow.parquet as pq

    meta = pq.read_metadata(path)
    columns = [meta.row_group(group).column(n) for group in range(meta.num_row_groups) for n in range(meta.num_columns)]
    return meta.num_rows, sum(one.total_uncompressed_size for one in columns if one.path_in_schema == "text")


def _stated(source: Source) -> Rows | None:
    expected = source.expected
    if expected.queries is None or expected.passages is None:
        return None
    queries, passages = source.stated_queries, source.stated_passages
    lengths = (queries * (expected.query_tokens or 30), passages * (expected.passage_tokens or 150))
    return Rows(queries, passages, *(tokens * TOKEN_BYTES / MB for tokens in lengths), "stated")


def _entry(key: str, rows: Rows) -> dict[str, Any]:
    sizes = {"query_mb": round(rows.query_mb, 4), "passage_mb": round(rows.passage_mb, 4)}
    return {"digest": key, "queries": rows.queries, "passages": rows.passages, **sizes}


def _within(count: int, cap: int | None) -> int:
    return count if cap is None else min(count, cap)
