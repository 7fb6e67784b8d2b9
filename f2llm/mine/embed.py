"""Encode the texts of one source into the vector store, each text once."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.models import Model
from f2llm.config.sources import Source
from f2llm.encode.precision import resolve_precision
from f2llm.encode.prompts import format_query
from f2llm.encode.store import VectorStore, as_ids
from f2llm.errors import InputError
from f2llm.mine.faults import SKIP, SourceError
from f2llm.progress import Progress
from f2llm.provenance import code_digest
from f2llm.records.files import sha256_path, write_json
from f2llm.records.ids import doc_id
from f2llm.records.tables import read_batches

if TYPE_CHECKING:
    from f2llm.encode.encoder import Encoder

# Searched by a retriever; the negatives of the other tasks are given or drawn.
SEARCHED = ("retrieval",)
# A kill loses the work on at most so many texts.
SHARD_ROWS = 4096
KEY_DIGITS = 12
ENCODER_CODE = "f2llm/encode/encoder.py"
logger = logging.getLogger(__name__)


class Retriever(NamedTuple):
    """The encoder that searches: a prepared model folder, its stanza, and how many tokens it reads."""

    folder: str | Path
    model: Model
    max_length: int


class _Texts(NamedTuple):
    """The texts of one role, by batches of (ids, texts), and all their ids in order."""

    ids: NDArray[np.bytes_]
    path: Path
    prompt: str
    instruction: str

    def batches(self) -> Iterator[tuple[NDArray[np.bytes_], list[str]]]:
        """Yield (ids, texts) in the order of the table."""
        for batch in read_batches(self.path, columns=["text"], rows=SHARD_ROWS):
            yield _identified(batch["text"].to_pylist(), self.prompt, self.instruction)


def embed_source(
    *,
    corpus: str | Path,
    queries: str | Path,
    source: Source,
    retriever: Retriever,
    store: str | Path,
    manifest: str | Path,
    threads: int,
    on_source_error: str = "fail",
) -> dict[str, Any]:
    """Encode all passages and queries of a source that have no vector yet; write the manifest; return counts.

    Queries are encoded with the retriever's own prompt. The vectors lie in a folder below
    `store` whose name says precision, device, weights and code; `manifest` says which. Sources
    that need no retriever get a manifest of 0 vectors, and no model is loaded.

    Raises:
        InputError: the task cannot be mined, or a text has no vector (with on_source_error
            "skip" the manifest says so instead, and the source is left out).
    """
    about = {"source": source.name, "task": source.task, "passages": 0, "queries": 0}
    try:
        counts = {"encoded": 0, "reused": 0}
        if searched(source):
            found, counts = _embed(Path(corpus), Path(queries), source, retriever, Path(store), threads)
            about |= found
    except SourceError as error:
        if on_source_error != SKIP:
            raise
        logger.warning("skipped: %s", error)
        about["skipped"] = counts["skipped"] = str(error)
    write_json(manifest, about)
    return {"passages": about["passages"], "queries": about["queries"]} | counts


def searched(source: Source) -> bool:
    """Return whether a retriever finds the negatives of this source.

    Raises:
        SourceError: its task cannot be trained on.
    """
    if source.task == "sts" and not source.ready:
        raise SourceError(
            f"source {source.name}: graded pairs (task: sts) are for evaluation, they are not mined; "
            "take the source out of `sources`, or normalise its pairs as task: retrieval"
        )
    return source.task in SEARCHED and not source.ready


def query_vector_id(text: str, *, prompt: str, instruction: str) -> bytes:
    """Return the 16-byte id under which a query's vector is stored: that of the text the model reads."""
    return doc_id(format_query(prompt, instruction=instruction, text=text))


def _embed(
    corpus: Path, queries: Path, source: Source, retriever: Retriever, folder: Path, threads: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fill the store; return what the manifest says and what the job counts."""
    import torch

    torch.set_num_threads(threads)
    model = retriever.model
    identity = {
        "weights": sha256_path(retriever.folder),
        "pooling": model.pooling,
        "max_length": retriever.max_length,
        "precision": resolve_precision("auto"),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "code": code_digest(ENCODER_CODE),
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]
    key = f"{identity['precision']}-{identity['device']}-{digest}"
    vectors = VectorStore(folder / key, key=key)
    roles = {
        "passages": _read(corpus, prompt="", instruction=""),
        "queries": _read(queries, prompt=model.query_prompt, instruction=source.instruction),
    }
    encoded = _fill(vectors, roles, source=source, retriever=retriever)
    shards = vectors.shards()
    total = {role: len(texts.ids) for role, texts in roles.items()}
    hashes = {f"{role}_sha256": hashlib.sha256(texts.ids.tobytes()).hexdigest() for role, texts in roles.items()}
    prompts = {"query_prompt": model.query_prompt, "instruction": source.instruction}
    where = {"store": str(vectors.folder), "key": key, "dim": shards[0].dim if shards else 0}
    about = total | hashes | prompts | where | {name: identity[name] for name in ("precision", "device", "weights")}
    return about, encoded | {name: identity[name] for name in ("precision", "device")}


def _fill(vectors: VectorStore, roles: dict[str, _Texts], *, source: Source, retriever: Retriever) -> dict[str, int]:
    """Encode and store what is missing, in the order of the tables, a shard at a time."""
    missing = {role: vectors.missing(texts.ids) for role, texts in roles.items()}
    total = sum(map(len, missing.values()))
    counts = {"encoded": total, "reused": sum(len(texts.ids) for texts in roles.values()) - total}
    if not total:
        return counts
    from f2llm.encode.encoder import Encoder

    encoder = Encoder.load(
        retriever.folder, pooling=retriever.model.pooling, max_length=retriever.max_length, precision="auto"
    )
    with Progress(f"encode {source.name}", total=total, unit="texts") as bar:
        for role, texts in roles.items():
            what = f"source {source.name}: {role}"
            for ids, part in _wanted(texts, missing[role]):
                vectors.put(ids, _encode(encoder, part, what=what, bar=bar), precision=encoder.precision)
    return counts


def _encode(encoder: "Encoder", texts: Sequence[str], *, what: str, bar: Progress) -> NDArray[np.float32]:
    try:
        return encoder.encode(texts, what=what, bar=bar)
    except InputError as error:
        raise SourceError(error.faults) from error


def _wanted(texts: _Texts, positions: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.bytes_], list[str]]]:
    """Yield (ids, texts) at the given rising positions of the table, SHARD_ROWS at a time."""
    first, ids, part = 0, [], []
    for batch_ids, batch in texts.batches():
        for row in positions[(positions >= first) & (positions < first + len(batch))] - first:
            ids.append(batch_ids[row : row + 1].tobytes())
            part.append(batch[row])
        first += len(batch)
        while len(part) >= SHARD_ROWS:
            yield as_ids(ids[:SHARD_ROWS]), part[:SHARD_ROWS]
            ids, part = ids[SHARD_ROWS:], part[SHARD_ROWS:]
    if part:
        yield as_ids(ids), part


def _read(path: Path, *, prompt: str, instruction: str) -> _Texts:
    texts = _Texts(as_ids([]), path, prompt, instruction)
    return texts._replace(ids=np.concatenate([texts.ids, *(ids for ids, _ in texts.batches())]))


def _identified(texts: list[str], prompt: str, instruction: str) -> tuple[NDArray[np.bytes_], list[str]]:
    read = [format_query(prompt, instruction=instruction, text=text) for text in texts]
    return as_ids([doc_id(text) for text in read]), read
