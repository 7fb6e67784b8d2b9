"""Normalised tables of made-up sources, and an encoder whose vectors are a hash of the text."""

import hashlib

import numpy as np
import pytest

from f2llm.config.benchmarks import Task
from f2llm.config.stanzas import filled
from f2llm.records.ids import doc_id, query_id
from f2llm.records.schemas.sources import CORPUS, QUERIES, SourceTables
from f2llm.records.tables import write_table
from f2llm.records.text_keys import content_key

DIM = 8


class Source:
    """Writes the tables of a source: `add` rows, then `write`."""

    def __init__(self, folder):
        self.folder, self.texts, self.queries = folder, {}, []

    def passage(self, text):
        self.texts[doc_id(text)] = text
        return doc_id(text)

    def add(self, text, *positives, split="test", group="g", label=None, grade=None):
        ids = sorted(self.passage(positive) for positive in positives)
        identity = text if grade is None else f"{text}\x1f{positives[0]}"
        self.queries.append(
            {
                "query_id": query_id("any", identity), "text": text, "positives": ids, "negatives": [],
                "label": label, "grade": grade, "group": group, "split": split,
            }
        )  # fmt: skip

    def write(self, *, name="source", backwards=False):
        import pyarrow as pa

        corpus = [
            {"doc_id": key, "text": text, "content_key": content_key(text)} for key, text in sorted(self.texts.items())
        ]
        queries = sorted(self.queries, key=lambda row: row["query_id"])
        paths = self.folder / f"{name}-corpus.parquet", self.folder / f"{name}-queries.parquet"
        for path, schema, rows in zip(paths, (CORPUS, QUERIES), (corpus, queries), strict=True):
            ordered = rows[::-1] if backwards else rows
            write_table(path, schema=schema, rows=[pa.Table.from_pylist(ordered, schema=schema)])
        return SourceTables(corpus=paths[0], queries=paths[1])


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


@pytest.fixture
def task():
    def make(kind, **changes):
        settings = {"name": "Toy", "type": kind, "source": "toy", "split": "test", "instruction": "Do it."}
        return filled(Task, **(settings | changes))

    return make


def vector(text, pooling):
    """A unit vector that depends on text and pooling alone."""
    seed = int.from_bytes(hashlib.sha256(f"{pooling}|{text}".encode()).digest()[:4], "little")
    raw = np.random.RandomState(seed).normal(size=DIM)
    return (raw / np.linalg.norm(raw)).astype(np.float32)


class HashEncoder:
    precision, device = "float32", "cpu"

    def __init__(self):
        self.seen = []

    def encode_poolings(self, texts, *, poolings, what, bar=None):
        self.seen += texts
        return np.array([[vector(text, pooling) for text in texts] for pooling in poolings])


@pytest.fixture
def encoder():
    return HashEncoder()


@pytest.fixture
def vectors_of():
    """Vectors of texts as HashEncoder makes them, [N, D]."""
    return lambda texts, pooling="last": np.array([vector(text, pooling) for text in texts])
