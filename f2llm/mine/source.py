"""Training tuples of one curated source, and the pairs that gave none: mined, given or drawn by the source's task."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.encoding import MinedSource, searched
from f2llm.config.mine import Mine
from f2llm.jobs.progress import Progress
from f2llm.mine.draw import Classes
from f2llm.mine.manifest import VectorsManifest
from f2llm.mine.outcome import DRAWN, GIVEN, MiningOutcome, RejectedPair, TuplePaths, UnscoredTuple
from f2llm.mine.passages import PassageLookup, corpus_ids
from f2llm.mine.retrieve import MISSING_POSITIVE, NO_POSITIVE, Retrieval, mine_queries
from f2llm.mine.select import FEW_CANDIDATES
from f2llm.models.prompts import vector_id
from f2llm.records.errors import SKIP, SourceError
from f2llm.records.files import sha256_file
from f2llm.records.ids import doc_id, tuple_id
from f2llm.records.schemas.sources import SKIPPED
from f2llm.records.tables import NO_ROW, WHOLE, Share, count_rows, read_batches, read_metadata
from f2llm.records.text_keys import content_key
from f2llm.vectors.indexes import Approximate, measure_recall
from f2llm.vectors.search import choose_backend, queries_at_once
from f2llm.vectors.store import VectorStore, VectorView, as_ids

SINGLE_TEXT_CLASS = "single_text_class"
QUERY_COLUMNS = ("query_id", "text", "positives", "negatives", "label")
# Queries whose passages are looked up together where nothing is searched.
ROWS_AT_ONCE = 8192
RECALL = ("index", "recall", "recall_queries")
logger = logging.getLogger(__name__)


class MiningTables(NamedTuple):
    """What mining reads: the curated tables of the source and the manifest of its vectors."""

    corpus: str | Path
    queries: str | Path
    near: str | Path
    vectors: str | Path


def mine_source(
    tables: MiningTables,
    outputs: TuplePaths,
    *,
    source: MinedSource,
    rule: Mine,
    seed: int,
    threads: int,
    on_source_error: str = "fail",
    share: Share = WHOLE,
    parts: Sequence[TuplePaths] = (),
) -> dict[str, Any]:
    """Write the tuples and rejected pairs of a source; return the counts of the job.

    Retrieval: every (query, positive) with mined negatives, given ones first. Classification:
    the text's own label, the other labels. Clustering: another text of the class, texts of other
    classes. Ready tuples of any task: the given negatives. Pairs in = tuples + rejected.

    With a `share`, only its queries are mined, and too few tuples are no error. With `parts`, the tables
    of all shares, these are put together and nothing is searched. Results do not depend on `threads`,
    shares, back end or block size.

    Raises:
        InputError: fewer than `rule.min_kept` tuples are left, or the task cannot be mined (with
            on_source_error "skip" the tables are empty instead, and counts and metadata say "skipped").
    """
    try:
        if reason := read_metadata(tables.queries).get(SKIPPED):  # it was skipped before
            raise SourceError(reason)
        if parts:
            outcome, counts = _joined(parts, tables)
        else:
            outcome, counts = _mine(tables, source, rule, share=share, seed=seed, threads=threads)
        if share == WHOLE:
            counts |= _checked(source, outcome, rule, pairs=_pairs(tables, source))
    except SourceError as error:
        if on_source_error != SKIP:
            raise
        logger.warning("skipped: %s", error)
        outcome, counts = MiningOutcome(), {SKIPPED: str(error)}
    hashes = {f"{name}_sha256": sha256_file(getattr(tables, name)) for name in ("corpus", "queries")}
    # The plan says why a source is left out; the job that puts shares together cannot count the recall itself.
    noted = (SKIPPED,) if share == WHOLE else (SKIPPED, *RECALL)
    metadata = {"source": source.name, **hashes} | {name: str(counts[name]) for name in noted if name in counts}
    outcome.write(outputs, metadata=metadata)
    return outcome.counts() | counts


def _joined(parts: Sequence[TuplePaths], tables: MiningTables) -> tuple[MiningOutcome, dict[str, Any]]:
    """The tables of all shares put together, with the counts that the shares left in their metadata."""
    outcome, notes = MiningOutcome(), [read_metadata(part.tuples) for part in parts]
    for part, note in zip(parts, notes, strict=True):
        if SKIPPED in note:
            raise SourceError(note[SKIPPED])
        outcome.add_tables(part)
    counts: dict[str, Any] = {"queries": count_rows(tables.queries), "passages": count_rows(tables.corpus)}
    measured = [note for note in notes if "recall" in note]
    if measured:
        # The mean over all sampled queries, which may be fewer in the last share.
        sizes = [int(note["recall_queries"]) for note in measured]
        hits = sum(size * float(note["recall"]) for size, note in zip(sizes, measured, strict=True))
        counts |= {"index": measured[0]["index"], "recall": hits / sum(sizes), "recall_queries": sum(sizes)}
    return outcome, counts


def _checked(source: MinedSource, outcome: MiningOutcome, rule: Mine, *, pairs: int) -> dict[str, int]:
    """Check that every pair is accounted for and that enough tuples are left; return the pairs."""
    counts = outcome.counts()
    if pairs != counts["tuples"] + counts["rejected"]:
        raise AssertionError(f"source {source.name}: {pairs} pairs in, {counts} out")
    if counts["tuples"] < rule.min_kept:
        by_reason = ", ".join(f"{reason} {count:,}" for reason, count in counts["rejected_by_reason"].items())
        raise SourceError(
            f"source {source.name}: {counts['tuples']:,} tuples kept of {pairs:,} pairs, at least {rule.min_kept:,} "
            f"are needed ({by_reason or 'it has no queries'}); raise mine.max_score, lower mine.relative_margin or "
            "mine.negatives, or take the source out"
        )
    return {"pairs": pairs}


def _pairs(tables: MiningTables, source: MinedSource) -> int:
    """How many pairs go in: each text of a class once, else each positive, and each query without one."""
    if source.shape == "clustering":
        return count_rows(tables.queries)
    lengths = (batch["positives"].value_lengths().to_numpy() for batch in read_batches(tables.queries))
    return sum(int(np.maximum(length, 1).sum()) for length in lengths)


def _mine(
    tables: MiningTables, source: MinedSource, rule: Mine, *, share: Share, seed: int, threads: int
) -> tuple[MiningOutcome, dict[str, Any]]:
    """The tuples and rejected pairs of a share, by the one way that the source's task asks for, and counts."""
    outcome, retrieved = MiningOutcome(), searched(source)
    rows = share.rows(count_rows(tables.queries))
    counts: dict[str, Any] = {"queries": len(rows), "passages": count_rows(tables.corpus)}
    if retrieved and len(rows):
        counts |= _search(tables, source.name, rule, outcome, rows, seed=seed, threads=threads)
    elif source.ready or source.task == "classification":
        for first, queries in query_batches(tables.queries, rows, size=ROWS_AT_ONCE):
            outcome.add_rows(given(source.name, queries, _passages(tables, queries), first=first))
    elif not retrieved and share.number == 0:  # draws need all texts of a class: one share makes them
        outcome.add_rows(drawn(source.name, tables, negatives=rule.negatives, seed=seed))
    return outcome, counts


def query_batches(path: str | Path, rows: range, *, size: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield (first row, queries) of some rows of the table, at most `size` at a time."""
    first = 0  # row of the batch in the table
    for batch in read_batches(path, columns=QUERY_COLUMNS, rows=size):
        start, stop = max(rows.start, first), min(rows.stop, first + len(batch))
        if start < stop:
            yield start, pa.Table.from_batches([batch.slice(start - first, stop - start)])
        first += len(batch)


def given(
    source: str, queries: pa.Table, passages: PassageLookup, *, first: int
) -> Iterator[UnscoredTuple | RejectedPair]:
    """Yield every query and positive with the negatives that the source gives, in its order.

    Left out of these are positives of the query and copies of them. The queries begin at row `first`.
    """
    for row, query in enumerate(queries.to_pylist(), first):
        if not query["positives"]:
            yield RejectedPair(query["query_id"], None, NO_POSITIVE)
        positive_rows, negative_rows = passages.rows(query["positives"]), passages.rows(query["negatives"])
        barred = {NO_ROW}.union(*(passages.same(positive) for positive in positive_rows if positive != NO_ROW))
        negatives = [negative for negative in dict.fromkeys(negative_rows) if negative not in barred]
        for doc, positive in zip(query["positives"], positive_rows, strict=True):
            reason = MISSING_POSITIVE if positive == NO_ROW else FEW_CANDIDATES
            if positive == NO_ROW or not negatives:
                yield RejectedPair(query["query_id"], doc, reason, len(negatives), len(negatives))
            else:
                identity = tuple_id(source, query["query_id"], doc)
                yield UnscoredTuple(identity, query["query_id"], row, positive, negatives, GIVEN)


def drawn(source: str, tables: MiningTables, *, negatives: int, seed: int) -> Iterator[UnscoredTuple | RejectedPair]:
    """Yield for every text of a clustering source a text of its class against drawn texts of other classes."""
    texts: dict[str, list[Any]] = {"query_id": [], "label": [], "key": [], "doc": []}
    for batch in read_batches(tables.queries, columns=["query_id", "text", "label"]):
        texts["query_id"] += batch["query_id"].to_pylist()
        texts["label"] += batch["label"].to_pylist()
        for text in batch["text"].to_pylist():
            texts["key"].append(content_key(text))
            texts["doc"].append(doc_id(text))
    labels, keys, docs = texts["label"], texts["key"], texts["doc"]
    # Passages, not queries, are drawn: a text whose passage curation removed is drawn for no other.
    passage_rows = PassageLookup.find(tables.corpus, near=tables.near, ids=docs).rows(docs)
    in_corpus = [row for row, passage in enumerate(passage_rows) if passage != NO_ROW]
    doc_of = {passage_rows[row]: docs[row] for row in in_corpus}
    classes = Classes(
        [passage_rows[row] for row in in_corpus],
        labels=[labels[row] for row in in_corpus],
        keys=[keys[row] for row in in_corpus],
    )
    for row, query in enumerate(texts["query_id"]):
        text = {"label": labels[row], "key": keys[row]}
        others = classes.others(**text)
        if not classes.partners(**text):
            yield RejectedPair(query, None, SINGLE_TEXT_CLASS, others, min(others, negatives))
        elif others < negatives:
            yield RejectedPair(query, None, FEW_CANDIDATES, others, others)
        else:
            draw = classes.draw(query, **text, negatives=negatives, seed=seed)
            identity = tuple_id(source, query, doc_of[draw.positive])
            yield UnscoredTuple(identity, query, row, draw.positive, list(draw.negatives), DRAWN)


def _passages(tables: MiningTables, queries: pa.Table, *, keys: Sequence[str] = ()) -> PassageLookup:
    """The passages that some queries name, and those with some E1 keys, looked up in the corpus."""
    ids = [doc for name in ("positives", "negatives") for docs in queries[name].to_pylist() for doc in docs]
    return PassageLookup.find(tables.corpus, near=tables.near, ids=ids, keys=keys)


def _search(
    tables: MiningTables, source: str, rule: Mine, outcome: MiningOutcome, rows: range, *, seed: int, threads: int
) -> dict[str, Any]:
    """Add the mined tuples of some queries to `outcome`; return the measured recall of an approximate index."""
    manifest = VectorsManifest.read(tables.vectors)
    if manifest.skipped is not None:
        raise SourceError(manifest.skipped)
    exact = choose_backend(backend=rule.backend, device=rule.device, threads=threads, block_rows=rule.block_rows)
    store = query_store = VectorStore(manifest.store, key=manifest.key, compare=True)
    if manifest.query_store is not None:
        query_store = VectorStore(manifest.query_store, key=manifest.key, compare=True)
    with store.view_of(_passage_vector_ids(tables, manifest)) as passages:
        approximate = Approximate(passages, rule.index) if rule.index.kind != "flat" and len(passages) else None
        task = Retrieval(source, passages, approximate or exact, exact, rule, seed)
        size = queries_at_once(rule.window, exact)
        with Progress(f"mine {source}", total=len(rows), unit="queries") as bar:
            for first, queries in query_batches(tables.queries, rows, size=size):
                keys = [content_key(text) for text in queries["text"].to_pylist()]
                named = _passages(tables, queries, keys=keys)
                vectors = _query_vectors(query_store, queries, manifest)
                for mined in mine_queries(task, queries, vectors, named, keys=keys, first=first, advance=bar.advance):
                    outcome.add(mined)
        if approximate is None:
            return {}
        # On the first queries: they are sorted by a hash, so these are a random sample.
        sample = query_batches(tables.queries, rows[: rule.index.recall_sample], size=ROWS_AT_ONCE)
        queries = pa.concat_tables(batch for _, batch in sample)
        vectors = _query_vectors(query_store, queries, manifest)
        query_vectors = vectors.rows(np.arange(len(vectors)))
        recall = measure_recall(query_vectors, passages, wanted=rule.window, approximate=approximate, exact=exact)
        return {"index": rule.index.kind, "recall": recall, "recall_queries": len(queries)}


def _query_vectors(store: VectorStore, queries: pa.Table, manifest: VectorsManifest) -> VectorView:
    prompts = {"prompt": manifest.query_prompt, "instruction": manifest.instruction}
    return store.view(as_ids([vector_id(text, **prompts) for text in queries["text"].to_pylist()]))


def _passage_vector_ids(tables: MiningTables, manifest: VectorsManifest) -> Iterator[NDArray[np.bytes_]]:
    """Yield the ids of the passages' vectors: their doc_ids, unless the retriever reads a prompt before them."""
    if not manifest.passage_prompt:
        yield from corpus_ids(tables.corpus)
        return
    prompts = {"prompt": manifest.passage_prompt, "instruction": manifest.instruction}
    for batch in read_batches(tables.corpus, columns=["text"], rows=ROWS_AT_ONCE):
        yield as_ids([vector_id(text, **prompts) for text in batch["text"].to_pylist()])
