"""Real queries and passages with their stored vectors, as the miner's tables and as sentence-transformers' input.

They come from the results of the embedded default (`make run TARGETS=mine` makes them). Shapes: Q queries,
N passages, D dimensions.
"""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.mine.manifest import VectorsManifest
from f2llm.mine.passages import corpus_ids
from f2llm.models.prompts import vector_id
from f2llm.records.files import read_json
from f2llm.records.ids import doc_id, query_id
from f2llm.records.schemas.curate import NEAR
from f2llm.records.schemas.sources import CORPUS, QUERIES
from f2llm.records.tables import read_table, write_table
from f2llm.records.text_keys import content_key
from f2llm.vectors.store import VectorStore

FILL_NOISE = 0.35
PART = 8192


class Mined(NamedTuple):
    """Queries, passages and which passages are right for which query."""

    queries_QD: NDArray[np.float16]
    passages_ND: NDArray[np.float16]
    query_texts: list[str]
    passage_texts: list[str]
    positives: list[list[int]]  # rows of the passages


def read_sources(results: Path) -> dict[str, Mined]:
    """Return every source of the embedded default that a retriever searched."""
    found = {}
    for manifest in sorted(results.glob("vectors/*/*/*.json")):
        about = read_json(manifest)
        if about["passages"]:
            found[about["source"]] = _read(results / "curated" / manifest.parent.name / about["source"], about)
    if not found:
        raise SystemExit(f"{results}: holds no vectors; run `make run TARGETS=mine` first")
    return found


def enlarged(sources: Sequence[Mined], *, queries: int, passages: int, seed: int = 0) -> Mined:
    """Return so many queries and passages: the real ones, then points between two real ones with some noise."""
    generator = np.random.default_rng(seed)
    real_ND, real_QD = (np.concatenate([getattr(one, name) for one in sources]) for name in Mined._fields[1::-1])
    texts = [text for one in sources for text in one.passage_texts]
    asked = [text for one in sources for text in one.query_texts]
    starts = np.cumsum([0, *(len(one.passages_ND) for one in sources)])
    positives = [
        [int(row + start) for row in rows]
        for one, start in zip(sources, starts, strict=False)
        for rows in one.positives
    ]
    more = max(0, passages - len(real_ND))
    ends = generator.integers(0, len(real_ND), (2, more))
    mixed_ND = _unit(real_ND[ends[0]].astype(np.float32) + real_ND[ends[1]] + _noise(generator, more, real_ND.shape[1]))
    all_ND = np.concatenate([real_ND, mixed_ND])[:passages]
    texts = [f"{number} {texts[number % len(real_ND)]}" for number in range(passages)]
    keep = [at for at, rows in enumerate(positives) if max(rows) < passages][:queries]
    targets = generator.integers(0, passages, queries - len(keep))
    near_QD = _unit(all_ND[targets].astype(np.float32) + _noise(generator, len(targets), real_ND.shape[1]))
    return Mined(
        np.concatenate([real_QD[keep], near_QD]),
        all_ND,
        [f"{number} {asked[number % len(asked)]}" for number in range(queries)],
        texts,
        [*(positives[at] for at in keep), *([int(row)] for row in targets)],
    )


def write_tables(data: Mined, folder: Path) -> None:
    """Write what mining reads: corpus, queries, near, a store and the manifest of its vectors."""
    ids = [doc_id(text) for text in data.passage_texts]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    passages = [
        {"doc_id": ids[at], "text": data.passage_texts[at], "content_key": content_key(data.passage_texts[at])}
        for at in order
    ]
    queries = [
        {
            "query_id": query_id("retrieval", text), "text": text, "positives": sorted(ids[row] for row in rows),
            "negatives": [], "label": None, "grade": None, "group": "", "split": "train",
        }
        for text, rows in zip(data.query_texts, data.positives, strict=True)
    ]  # fmt: skip
    queries.sort(key=lambda row: row["query_id"])
    for name, schema, rows in (("corpus", CORPUS, passages), ("queries", QUERIES, queries), ("near", NEAR, [])):
        write_table(folder / f"{name}.parquet", schema=schema, rows=[pa.Table.from_pylist(rows, schema=schema)])
    store = VectorStore(folder / "store", key="benchmark")
    asked = [vector_id(text, prompt="", instruction="") for text in data.query_texts]
    for names, rows in ((ids, data.passages_ND), (asked, data.queries_QD)):
        for first in range(0, len(names), PART):
            store.put(names[first : first + PART], rows[first : first + PART], precision="float32")
    manifest = VectorsManifest(
        "benchmark", "retrieval", store=str(store.folder), key=store.key, passage_prompt="", query_prompt="",
        instruction="",
    )  # fmt: skip
    manifest.write(folder / "vectors.json")


class Stub:
    """A model for sentence-transformers that looks the vectors of texts up, with plain inner products."""

    model_card_data = SimpleNamespace(base_model="stub")

    def __init__(self, data: Mined) -> None:
        import torch

        self.device = torch.device("cpu")
        self._rows = {text: at for at, text in enumerate(data.passage_texts)}
        self._asked = {text: at for at, text in enumerate(data.query_texts)}
        self._data = data

    def encode_query(self, texts: Sequence[str], **_: Any) -> NDArray[np.float32]:
        """Return the vectors of queries."""
        return self._data.queries_QD[[self._asked[text] for text in texts]].astype(np.float32)

    def encode_document(self, texts: Sequence[str], **_: Any) -> NDArray[np.float32]:
        """Return the vectors of passages."""
        return self._data.passages_ND[[self._rows[text] for text in texts]].astype(np.float32)

    def get_embedding_dimension(self) -> int:
        """Return the length of a vector."""
        return self._data.passages_ND.shape[1]

    def similarity(self, left: Any, right: Any) -> Any:
        """Return all inner products."""
        import torch

        return torch.as_tensor(left) @ torch.as_tensor(right).T

    def similarity_pairwise(self, left: Any, right: Any) -> Any:
        """Return the inner products of pairs."""
        import torch

        return (torch.as_tensor(left) * torch.as_tensor(right)).sum(-1)


def peer_mine(data: Mined, **settings: Any) -> Any:
    """Return what sentence-transformers' own miner makes of the data, quietly."""
    from datasets import Dataset
    from sentence_transformers.util import mine_hard_negatives

    pairs = [(data.query_texts[at], data.passage_texts[row]) for at, rows in enumerate(data.positives) for row in rows]
    given = Dataset.from_dict({"query": [q for q, _ in pairs], "passage": [p for _, p in pairs]})
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return mine_hard_negatives(given, Stub(data), corpus=data.passage_texts, verbose=False, **settings)


def _read(folder: Path, about: dict[str, Any]) -> Mined:
    queries = read_table(folder / "queries.parquet", columns=["text", "positives"])
    texts = queries["text"].to_pylist()
    passages = read_table(folder / "corpus.parquet", columns=["doc_id", "text"])
    row_of = {doc: row for row, doc in enumerate(passages["doc_id"].to_pylist())}
    store = VectorStore(about["store"], key=about["key"])
    prompts = {"prompt": about["query_prompt"], "instruction": about["instruction"]}
    with store.view_of(corpus_ids(folder / "corpus.parquet")) as view:
        passages_ND = view.rows(np.arange(len(view)))
    return Mined(
        store.get([vector_id(text, **prompts) for text in texts]),
        passages_ND,
        texts,
        passages["text"].to_pylist(),
        [[row_of[doc] for doc in docs] for docs in queries["positives"].to_pylist()],
    )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float16]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def _noise(generator: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    return (FILL_NOISE * generator.standard_normal((rows, dim)) / np.sqrt(dim)).astype(np.float32)
