"""How many rows each table of a run has or will have: from the table itself, from an earlier run, or from its stanza.

`config/counts.lock.json` holds what a finished run counted (`f2llm estimate --record`). Its figures are exact for the
same files, adapter and settings, and a guide for others.
"""

import contextlib
import functools
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from f2llm.config.build import digest
from f2llm.config.fetch import plain_places, reading_key
from f2llm.config.geometry import Geometry, read_geometry
from f2llm.config.models import LOCK, Model, known_geometry, model_digest
from f2llm.config.parts import training_settings
from f2llm.config.run import Run
from f2llm.config.sources import Source
from f2llm.config.variants import curation_key, mining_key
from f2llm.models.heads import vector_length
from f2llm.records.files import read_json, write_json
from f2llm.records.schemas.probe import PROBE, ProbeRecord, read_probe

# Of the groups of a source that holds rows out (f2llm/records/ids.py: eight of ten go to train).
TRAIN_SHARE = 0.8
# Of the pairs of the embedded default: what the selection rule keeps.
KEPT_SHARE = 0.9
# Bytes of a token of English text, as a model's tokenizer cuts it.
TOKEN_BYTES = 4.5
# Tokens of a query and of a passage whose publication states none.
QUERY_TOKENS, PASSAGE_TOKENS = 30, 150
MB = 1e6
TABLES = ("corpus", "queries")


class SourceRows(NamedTuple):
    """Rows of a source: queries (of tuples: the tuples), passages, their texts in MB of 10**6 bytes."""

    queries: int
    passages: int
    query_mb: float
    passage_mb: float
    how: (
        str  # table: on disk | recorded: by a run, exact | probed: by heads | about: a guide | stated: by a publication
    )

    @property
    def text_mb(self) -> float:
        """Size of the texts of queries and passages."""
        return self.query_mb + self.passage_mb

    @property
    def texts(self) -> int:
        """Number of queries and passages."""
        return self.queries + self.passages


class TrainingWork(NamedTuple):
    """What the trainer works through in all epochs: expected, or counted by `plan_run`, which knows the balance too."""

    steps: int
    rows: int  # tuples, each as often as it is seen
    tokens: float
    balance: dict[str, float] | None = None  # number of processes -> tokens of the busiest over the mean
    padded_over_useful: float = 1.0  # tokens of one padded tensor a batch over those of its texts


class ExpectedRows:
    """Rows of the sources of `run`, and shapes of its models, as far as they are known."""

    def __init__(self, run: Run, *, results: str | Path = "results", lock: str | Path = LOCK) -> None:
        self.run, self.results = run, Path(results)
        self.curation, self.mining = curation_key(run), mining_key(run)
        self._known_digests: dict[str, dict[str, str]] = {}
        self._lock: dict[str, Any] = read_json(lock) if Path(lock).is_file() else {}
        self._probed: dict[tuple[str, str], ProbeRecord] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # damaged: no reason not to plan
            self._probed = {(record.kind, record.name): record for record in read_probe(self.results / PROBE)}

    def stamps(self, source: Source) -> tuple[int, ...]:
        """Times of change of a source's tables: another value means that its rows have to be counted again."""
        # Thousands of jobs ask while they are planned: joining Paths takes longer than the file system's answer.
        folders = (f"{self.results}/sources/{source.name}", f"{self.results}/curated/{self.curation}/{source.name}")
        return tuple(_changed(f"{folder}/queries.parquet") for folder in folders)

    def normalised(self, source: Source) -> SourceRows | None:
        """Rows of a source as it is read, all splits."""
        known = on_disk(self.results / "sources" / source.name) or self._recorded("normalised", source)
        if known and known.how != "about":
            return known
        return self._probed_rows(source) or known or _stated(source)

    def probed(self, source: Source | Model) -> ProbeRecord | None:
        """What a probe saw of a source or model, if it was one of the same places, patterns and options."""
        if isinstance(source, Model):
            record, key = self._probed.get(("model", source.name)), reading_key((source.fetch,))
        else:
            record = self._probed.get(("source", source.name))
            key = reading_key(source.fetch, adapter=source.adapter, options=source.options)
        return record if record and record.key == key else None

    def curated(self, source: Source) -> SourceRows | None:
        """Training rows of a source, within its caps."""
        known = on_disk(self.results / "curated" / self.curation / source.name)
        known = known or self._recorded("curated", source)
        if known and known.how != "about":
            return known
        # No table and no record of these settings: the rows as read, cut as the split and the caps will cut them.
        whole = self.normalised(source)
        if whole is None or whole.how == "stated":
            return whole
        share = TRAIN_SHARE if source.held_out else 1.0
        queries = _within(round(whole.queries * share), source.max_queries)
        # A class or topic keeps its texts with its queries.
        passages = _within(queries if source.shape == "clustering" else whole.passages, source.max_passages)
        query_mb = whole.query_mb * queries / max(1, whole.queries)
        passage_mb = whole.passage_mb * passages / max(1, whole.passages)
        how = "probed" if whole.how == "probed" else "about"
        return SourceRows(queries, passages, query_mb, passage_mb, how)

    def tuples(self, source: Source) -> SourceRows | None:
        """Mined tuples of a source, as `queries`."""
        path = self.results / "mined" / self.mining / source.name / "tuples.parquet"
        with contextlib.suppress(OSError, ValueError):
            return SourceRows(_footer(str(path), path.stat().st_mtime_ns)[0], 0, 0.0, 0.0, "table")
        recorded = self._recorded("mined", source)
        curated = self.curated(source)
        if (recorded and recorded.how != "about") or curated is None:
            return recorded
        if curated.how == "stated":
            return curated
        # Other settings kept this share of the queries.
        share = KEPT_SHARE if source.task == "retrieval" else 1.0
        queries_then = self._lock.get("curated", {}).get(source.name)
        if recorded and queries_then:
            share = recorded.queries / max(1, queries_then["queries"])
        tuples = round(curated.queries * share)
        if curated.how == "probed" and source.expected.queries is not None:
            # What a publication left out, a probe cannot see.
            return SourceRows(min(tuples, source.stated_queries), 0, 0.0, 0.0, "probed")
        return SourceRows(tuples, 0, 0.0, 0.0, "about")

    def plan(self) -> TrainingWork | None:
        """What the run's plan counted; None before `plan_run`, and where the plan is of other settings."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            manifest = read_json(self.results / "lineage" / "jobs" / "plan_run" / f"{self.run.run}.json")
            if manifest["params"]["settings"] == training_settings(self.run):
                return TrainingWork(**{name: manifest["counts"][name] for name in TrainingWork._fields})
        return None

    def raw_mb(self, source: Source) -> float | None:
        """Size of a source's files as fetched."""
        entry = self._lock.get("normalised", {}).get(source.name, {})
        return self._fetched_mb("sources", source.name) or self._probed_mb(source) or entry.get("raw_mb")

    def model_files_mb(self, model: Model) -> float | None:
        """Size of a model's files as fetched, which stay in the store beside what is made of them."""
        entry = self._lock.get("models", {}).get(model.name, {})
        recorded = entry["files_mb"] if entry.get("digest") == model_digest(model) else None
        return self._fetched_mb("models", model.name) or self._probed_mb(model) or recorded

    def geometry(self, model: Model) -> Geometry | None:
        """Shape of a model: stated, of its files, or as recorded."""
        if not model.geometry:
            with contextlib.suppress(OSError, ValueError, KeyError):  # not there, damaged, or of another family
                return read_geometry(self._model_folder(model))
        return known_geometry(model, self._lock)

    def width(self, model: Model) -> int:
        """Length of a model's vectors; 0 where it is not known."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            if length := vector_length(self._model_folder(model)):
                return length
        geometry = self.geometry(model)
        return geometry.hidden if geometry else 0

    def record(self, path: str | Path = LOCK) -> int:
        """Write what the tables on disk count into the lock file; number of sources in it.

        Sources of other runs keep their entries.
        """
        lock: dict[str, Any] = {
            key: dict(self._lock.get(key, {})) for key in ("normalised", "curated", "mined", "models")
        }
        for source in (*self.run.sources, *self.run.heldout_sources):
            if whole := on_disk(self.results / "sources" / source.name):
                entry = _entry(self._digests(source)["normalised"], whole)
                lock["normalised"][source.name] = entry | {"raw_mb": round(self.raw_mb(source) or 0.0, 3)}
        for source in self.run.sources:
            curated, tuples = self.curated(source), self.tuples(source)
            if curated and tuples and tuples.how == "table":
                lock["curated"][source.name] = _entry(self._digests(source)["curated"], curated)
                lock["mined"][source.name] = _entry(self._digests(source)["mined"], tuples)
        for model in (self.run.backbone, self.run.retriever):
            if geometry := self.geometry(model):
                files_mb = round(self.model_files_mb(model) or 0.0, 3)
                entry = {"digest": model_digest(model), "geometry": asdict(geometry), "files_mb": files_mb}
                lock["models"][model.name] = entry
        write_json(path, lock)
        return len(lock["normalised"])

    def _model_folder(self, model: Model) -> Path:
        return self.results / "models" / model.name / "model"

    def _fetched_mb(self, kind: str, name: str) -> float | None:
        with contextlib.suppress(OSError, ValueError):
            return sum(file["bytes"] for file in read_json(self.results / kind / name / "manifest.json")["files"]) / MB
        return None

    def _probed_mb(self, source: Source | Model) -> float | None:
        record = self.probed(source)
        return record.bytes / MB if record and record.bytes else None

    def _probed_rows(self, source: Source) -> SourceRows | None:
        """Rows as a probe saw them; queries that it could not count are those of the publication."""
        record = self.probed(source)
        rows = record.rows if record and not record.faults else None
        if rows is None:
            return None
        queries = source.expected.queries if rows.queries is None else rows.queries
        passages = source.expected.passages if rows.passages is None else rows.passages
        if queries is None or passages is None:
            return None
        sizes = (queries * rows.query_bytes / MB, passages * rows.passage_bytes / MB)
        return SourceRows(queries, passages, *sizes, "probed")

    def _digests(self, source: Source) -> Mapping[str, str]:
        """Digests of what decides the rows of a source, by stage; kept, since many jobs ask for them."""
        if source.name not in self._known_digests:
            # Of the rows as read: its files, adapter and options.
            reading = digest([plain_places(source.fetch), source.adapter, source.options, source.held_out])
            curated = digest([self.curation, source.max_queries, source.max_passages, reading])
            mined = digest([self.mining, curated])
            self._known_digests[source.name] = {"normalised": reading, "curated": curated, "mined": mined}
        return self._known_digests[source.name]

    def _recorded(self, stage: str, source: Source) -> SourceRows | None:
        entry: Mapping[str, Any] | None = self._lock.get(stage, {}).get(source.name)
        if entry is None:
            return None
        how = "recorded" if entry["digest"] == self._digests(source)[stage] else "about"
        return SourceRows(entry["queries"], entry["passages"], entry["query_mb"], entry["passage_mb"], how)


def on_disk(folder: str | Path) -> SourceRows | None:
    """Rows of corpus and queries in a folder, from the footers of the tables.

    None where a table is missing or damaged: the job that reads it reports that, not the planning.
    """
    try:
        stamps = [(path, os.stat(path)) for path in (f"{folder}/{name}.parquet" for name in TABLES)]
        (passages, corpus_bytes), (queries, query_bytes) = (_footer(path, stat.st_mtime_ns) for path, stat in stamps)
    except (OSError, ValueError):
        return None
    return SourceRows(queries, passages, query_bytes / MB, corpus_bytes / MB, "table")


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=100_000)
def _footer(path: str, _changed: int) -> tuple[int, int]:
    """Rows of a table and the uncompressed bytes of its texts; cached until the file changes."""
    import pyarrow.parquet as pq

    meta = pq.read_metadata(path)
    columns = [meta.row_group(group).column(n) for group in range(meta.num_row_groups) for n in range(meta.num_columns)]
    return meta.num_rows, sum(column.total_uncompressed_size for column in columns if column.path_in_schema == "text")


def _stated(source: Source) -> SourceRows | None:
    expected = source.expected
    if expected.queries is None or expected.passages is None:
        return None
    queries, passages = source.stated_queries, source.stated_passages
    query_tokens = queries * (expected.query_tokens or QUERY_TOKENS)
    passage_tokens = passages * (expected.passage_tokens or PASSAGE_TOKENS)
    sizes = (query_tokens * TOKEN_BYTES / MB, passage_tokens * TOKEN_BYTES / MB)
    return SourceRows(queries, passages, *sizes, "stated")


def _entry(key: str, rows: SourceRows) -> dict[str, Any]:
    sizes = {"query_mb": round(rows.query_mb, 4), "passage_mb": round(rows.passage_mb, 4)}
    return {"digest": key, "queries": rows.queries, "passages": rows.passages, **sizes}


def _within(count: int, cap: int | None) -> int:
    return count if cap is None else min(count, cap)
