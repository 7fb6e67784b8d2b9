"""Vectors of the texts of one source: what the store lacks is encoded, each text once."""

import functools
import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from f2llm.config.encoding import EncodingModel, MinedSource, searched
from f2llm.jobs.progress import Progress
from f2llm.mine.manifest import VectorsManifest
from f2llm.models.device import resolve_device, resolve_precision
from f2llm.models.prompts import format_query
from f2llm.models.tokenizers import check_prompts
from f2llm.records.errors import SKIP, InputError, SourceError
from f2llm.records.files import read_json, sha256_path
from f2llm.records.ids import doc_id
from f2llm.records.tables import WHOLE, Share, count_rows, read_batches
from f2llm.vectors.fill import StoredVectors, load_encoder, open_store
from f2llm.vectors.store import VectorStore, as_ids

# Texts in memory at once, which are looked up in the store together.
TEXTS_AT_ONCE = 65_536
VECTORS = "vectors"
logger = logging.getLogger(__name__)


class Retriever(NamedTuple):
    """The encoder whose vectors are searched: prepared model folder, stanza, tokens that it reads, device."""

    folder: str | Path
    model: EncodingModel
    max_length: int
    device: str = "auto"  # auto | cpu | cuda


class _Texts(NamedTuple):
    """The passages or the queries of a source: a table, and how the retriever reads its texts."""

    role: str
    path: Path
    prompt: str
    instruction: str
    listing: "hashlib._Hash"  # sha256 of the ids read so far

    def batches(self, share: Share) -> Iterator[tuple[NDArray[np.bytes_], list[str]]]:
        """Yield (ids, texts) of a share of the table as the retriever reads them; the ids go into `listing`."""
        rows, first = share.rows(count_rows(self.path)), 0  # `first`: row of the batch in the table
        for batch in read_batches(self.path, columns=["text"], rows=TEXTS_AT_ONCE):
            start, stop = max(rows.start, first), min(rows.stop, first + len(batch))
            if start < stop:
                texts = batch["text"].slice(start - first, stop - start).to_pylist()
                prompted = [format_query(self.prompt, instruction=self.instruction, text=text) for text in texts]
                ids = as_ids([doc_id(text) for text in prompted])
                self.listing.update(ids.tobytes())
                yield ids, prompted
            first += len(batch)

    def count(self, share: Share) -> int:
        """How many texts the share has."""
        return len(share.rows(count_rows(self.path)))


def embed_source(
    *,
    corpus: str | Path,
    queries: str | Path,
    source: MinedSource,
    retriever: Retriever,
    store: str | Path,
    manifest: str | Path,
    threads: int,
    share: Share = WHOLE,
    on_source_error: str = "fail",
) -> dict[str, Any]:
    """Encode all passages and queries of a source that have no vector yet; write the manifest; return counts.

    Queries are encoded with the retriever's own prompt. The vectors lie in a folder below
    `store` whose name says precision, device, weights and code; `manifest` says which. Sources
    that need no retriever get a manifest of 0 vectors, and no model is loaded. With a `share`, that share
    of the rows alone; several jobs may fill the store at once. Precomputed vectors are looked up only.

    Raises:
        InputError: the task cannot be mined, or a text has no vector (with on_source_error
            "skip" the manifest says so instead, and the source is left out).
    """
    description = VectorsManifest(source.name, source.task)
    counts: dict[str, Any] = {"encoded": 0, "reused": 0}
    try:
        if searched(source):
            model = retriever.model
            prompts = ("", "") if model.format == VECTORS else (model.passage_prompt, model.query_prompt)
            passages, asked = roles = [
                _Texts(role, Path(path), prompt, source.instruction, hashlib.sha256())
                for role, path, prompt in zip(("passages", "queries"), (corpus, queries), prompts, strict=True)
            ]
            if model.format == VECTORS:
                place = _look_up(roles, share=share, source=source, retriever=retriever)
            else:
                place, counts = _fill(roles, store, share=share, source=source, retriever=retriever, threads=threads)
            description = description._replace(
                passages=passages.count(share),
                queries=asked.count(share),
                passages_sha256=passages.listing.hexdigest(),
                queries_sha256=asked.listing.hexdigest(),
                passage_prompt=passages.prompt,
                query_prompt=asked.prompt,
                instruction=source.instruction,
                **place,
            )
    except SourceError as error:
        if on_source_error != SKIP:
            raise
        logger.warning("skipped: %s", error)
        description = description._replace(skipped=str(error))
        counts["skipped"] = str(error)
    description.write(manifest)
    counts |= {"passages": description.passages, "queries": description.queries}
    if description.device is not None:
        counts |= {"precision": description.precision, "device": description.device}
    return counts


def _fill(
    roles: Sequence[_Texts],
    folder: str | Path,
    *,
    share: Share,
    source: MinedSource,
    retriever: Retriever,
    threads: int,
) -> tuple[dict[str, Any], dict[str, int]]:
    """Encode and store what is missing, TEXTS_AT_ONCE texts of a table at a time; the model loads when one is.

    Returns the manifest's keys that say where the vectors lie, and counts.
    """
    check_prompts([texts.prompt for texts in roles], folder=retriever.folder, where=f"model {retriever.model.name}")
    device, weights = resolve_device(retriever.device), sha256_path(retriever.folder)
    # What decides a vector on this machine besides its text, the weights, the encoder's code and the libraries.
    settings: dict[str, Any] = {"pooling": retriever.model.pooling, "max_length": retriever.max_length}
    settings |= {"precision": resolve_precision("auto", device=device), "device": device}
    store = open_store(folder, {"weights": weights, **settings}, model=retriever.model.name)
    load = functools.partial(load_encoder, retriever.folder, threads=threads, **settings)
    vectors = StoredVectors(load, stores={retriever.model.pooling: store})
    with Progress(f"encode {source.name}", total=sum(texts.count(share) for texts in roles), unit="texts") as bar:
        for texts in roles:
            for ids, batch in texts.batches(share):
                try:
                    vectors.fill(batch, ids, what=f"source {source.name}: {texts.role}", bar=bar)
                except InputError as error:
                    raise SourceError(error.faults) from error
    shards = store.shards()
    place = {"store": str(store.folder), "key": store.key, "dim": shards[0].dim if shards else 0}
    place |= {"precision": settings["precision"], "device": device, "weights": weights}
    return place, {"encoded": vectors.encoded, "reused": vectors.reused}


def _look_up(roles: Sequence[_Texts], *, share: Share, source: MinedSource, retriever: Retriever) -> dict[str, Any]:
    """Check that every text has a precomputed vector; return the manifest's keys that say where they lie."""
    stored, faults = read_json(Path(retriever.folder, "vectors.json")), []
    for texts in roles:
        store = VectorStore(Path(retriever.folder, texts.role), key=stored["key"])
        absent, example = 0, ""
        for ids, batch in texts.batches(share):
            missing = store.missing(ids)
            example = example or (batch[missing[0]] if len(missing) else "")
            absent += len(missing)
        if absent:
            faults.append(
                f"source {source.name}: {absent:,} {texts.role} have no vector in model {retriever.model.name} "
                f"(id {doc_id(example).hex()}, {example[:60]!r}); add them to its files"
            )
    if faults:
        raise SourceError(faults)
    places = {"store": str(Path(retriever.folder, "passages")), "query_store": str(Path(retriever.folder, "queries"))}
    return places | {name: stored[name] for name in ("key", "dim")} | {"precision": "float16", "device": "none"}
