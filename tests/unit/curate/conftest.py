"""A source made of literal rows, curated in a temporary folder."""

import random
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest

from f2llm.config.curate import Across, Curate, Decontaminate, Near
from f2llm.curate.decontaminate import EvaluationTexts
from f2llm.curate.evaluation_texts import index_texts
from f2llm.curate.source import Outputs, Scope, curate_source
from f2llm.records.ids import doc_id, query_id
from f2llm.records.schemas.sources import CORPUS, QUERIES, SourceTables
from f2llm.records.schemas.tasks import TEXTS
from f2llm.records.tables import read_table, write_table
from f2llm.records.text_keys import content_key


def settings(**changes) -> Curate:
    near = {
        "policy": "drop", "min_words": 20, "threshold": 0.8, "report_threshold": 0.7, "permutations": 120,
        "bands": 20, "guard": True,
    }  # fmt: skip
    clean = {
        "policy": "drop", "containment": 0.5, "min_words": 1, "missing": "allow", "texts": (), "query_like": (),
    }  # fmt: skip
    memory_mb = changes.pop("memory_mb", 200)
    for name, value in changes.items():
        target, key = name.split("__")
        {"near": near, "clean": clean}[target][key] = value
    return Curate(
        near=Near(**near), decontaminate=Decontaminate(**clean), across=Across(policy="drop"), memory_mb=memory_mb
    )


class Query(NamedTuple):
    """One query row; positives and negatives are passage texts."""

    text: str
    positives: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    label: str | None = None
    group: str = "g"
    split: str = "train"


class Curated(NamedTuple):
    """What came out, as texts."""

    corpus: list[str]
    queries: dict[str, dict]
    removed: list[dict]
    near: list[tuple[str, str, float]]
    hits: list[dict]
    counts: dict
    paths: Outputs

    def why(self, text: str, role: str = "passage") -> str | None:
        """Return "stage: reason" of a removed text."""
        found = [row for row in self.removed if row["text"] == text and row["role"] == role]
        return f"{found[0]['stage']}: {found[0]['reason']}" if found else None

    def row(self, text: str, role: str = "passage") -> dict:
        return next(row for row in self.removed if row["text"] == text and row["role"] == role)


def write_corpus(path, texts, seed=None):
    rows = [{"doc_id": doc_id(text), "text": text, "content_key": content_key(text)} for text in dict.fromkeys(texts)]
    write_table(path, schema=CORPUS, rows=[pa.Table.from_pylist(ordered(rows, "doc_id", seed), CORPUS)])


def write_queries(path, queries, task="retrieval", seed=None, *, skipped=""):
    rows = [
        query._asdict() | {
            "query_id": query_id(task, query.text), "grade": None,
            "positives": sorted(doc_id(text) for text in query.positives),
            "negatives": [doc_id(text) for text in query.negatives],
        }
        for query in queries
    ]  # fmt: skip
    table = pa.Table.from_pylist(ordered(rows, "query_id", seed), QUERIES)
    write_table(path, schema=QUERIES, rows=[table], metadata={"skipped": skipped} if skipped else None)


def write_texts(path, texts):
    rows = [
        {"task": "Toy", "split": "test", "id": f"t{at}", "field": "query", "text": text}
        if isinstance(text, str) else {"task": "Toy", "split": "test", "id": f"t{at}", **text}
        for at, text in enumerate(texts)
    ]  # fmt: skip
    write_table(path, schema=TEXTS, rows=[pa.Table.from_pylist(rows, TEXTS)])


def ordered(rows, key, seed):
    rows = sorted(rows, key=lambda row: row[key])
    if seed is not None:
        random.Random(seed).shuffle(rows)
    return rows


@pytest.fixture
def query():
    """Return the record of a query row."""
    return Query


@pytest.fixture
def settings_of():
    """Return the function that makes settings."""
    return settings


@pytest.fixture
def write_query_rows():
    """Return the function that writes a queries table."""
    return write_queries


@pytest.fixture
def write_corpus_rows():
    """Return the function that writes a corpus table."""
    return write_corpus


@pytest.fixture
def index(tmp_path):
    """Return a function that indexes literal evaluation texts and opens the index."""

    def build(
        *texts, containment=0.5, field="query", split="test", rows=None, min_words=1, query_like=(), missing="fail"
    ):
        rows = rows or [
            {"task": "Toy", "split": split, "id": str(at), "field": field, "text": text} for at, text in enumerate(texts)
        ]  # fmt: skip
        folder = Path(tmp_path) / f"index{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_table(folder / "texts", schema=TEXTS, rows=[pa.Table.from_pylist(rows, TEXTS)])
        index_texts(
            {}, extra=[folder / "texts"], folder=folder / "index", query_like=query_like, missing=missing, memory_mb=100
        )
        return EvaluationTexts(folder / "index", containment=containment, min_words=min_words)

    return build


@pytest.fixture
def curate(tmp_path):
    """Return a function that curates literal rows and reads the tables back."""

    def run(
        passages,
        queries=(),
        texts=(),
        task="retrieval",
        *,
        other=(),
        earlier=None,
        seed=None,
        threads=1,
        caps=None,
        skipped="",
        **changes,
    ):
        folder = Path(tmp_path) / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        write_corpus(folder / "in_corpus", passages, seed)
        write_queries(folder / "in_queries", queries, task, seed, skipped=skipped)
        write_queries(folder / "other_queries", other)
        write_texts(folder / "texts", texts)
        index_texts(
            {"Toy": folder / "texts"}, extra=(), folder=folder / "index", query_like=(), missing="allow", memory_mb=100
        )
        for name, rows in (earlier or {}).items():
            write_queries(folder / f"earlier_{name}", rows, task)
        (folder / ".corpus.parquet.here-1.part").write_text("left by a killed job")
        paths = Outputs(*(folder / f"{name}.parquet" for name in Outputs._fields))
        counts = curate_source(
            SourceTables(folder / "in_corpus", folder / "in_queries"), paths, evaluation_texts=folder / "index",
            earlier={name: folder / f"earlier_{name}" for name in earlier or {}}, held_out={"other": folder / "other_queries"}, in_part=["other"], source=Scope(**{"name": "toy", "task": task, "max_queries": None, "max_passages": None} | (caps or {})),
            settings=settings(**changes), seed=0, threads=threads,
        )  # fmt: skip
        assert not list(folder.glob(".*"))
        return read_back(paths, counts, passages, queries, task)

    return run


def read_back(paths, counts, passages, queries, task) -> Curated:
    text_of = {doc_id(text): text for text in passages}
    queries_of = {query_id(task, query.text): query.text for query in queries}
    kept = {
        row["text"]: row | {name: [text_of[key] for key in row[name]] for name in ("positives", "negatives")}
        for row in read_table(paths.queries).to_pylist()
    }
    removed = [
        row | {"text": names[row["id"]], "kept": names.get(row["kept_id"])}
        for row in read_table(paths.removed).to_pylist()
        for names in ({"passage": text_of, "query": queries_of}[row["role"]],)
    ]
    near = [
        (text_of[row["doc_id"]], text_of[row["other_id"]], row["similarity"])
        for row in read_table(paths.near).to_pylist()
    ]
    return Curated(
        read_table(paths.corpus)["text"].to_pylist(),
        kept,
        removed,
        near,
        read_table(paths.hits).to_pylist(),
        counts,
        paths,
    )
