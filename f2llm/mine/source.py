"""One curated source -> its training tuples, and the pairs that gave none."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from f2llm.config.encoding import MinedSource, searched
from f2llm.config.mine import Mine
from f2llm.errors import SKIP, SourceError
from f2llm.jobs.progress import Progress
from f2llm.mine.draw import Classes
from f2llm.mine.outcome import DRAWN, GIVEN, Kept, Outcome, Paths, Rejected
from f2llm.mine.passages import Passages, corpus_ids
from f2llm.mine.retrieve import MISSING_POSITIVE, NO_POSITIVE, Retrieval, mine_queries
from f2llm.mine.select import FEW_CANDIDATES
from f2llm.models.prompts import vector_id
from f2llm.records.files import read_json, sha256_file
from f2llm.records.ids import doc_id, tuple_id
from f2llm.records.tables import NO_ROW, WHOLE, Share, count_rows, read_batches, read_metadata
from f2llm.records.text_keys import content_key
from f2llm.vectors.backends import choose
from f2llm.vectors.indexes import Approximate, measure_recall
from f2llm.vectors.search import queries_at_once
from f2llm.vectors.store import VectorStore, VectorView, as_ids

SINGLE_TEXT_CLASS = "single_text_class"
QUERY_COLUMNS = ("query_id", "text", "positives", "negatives", "label")
# Queries whose passages are looked up together where nothing is searched.
ROWS_AT_ONCE = 8192
SKIPPED = "skipped"
RECALL = ("index", "recall", "recall_queries")
logger = logging.getLogger(__name__)


class Tables(NamedTuple):
    """What mining reads: the curated tables of the source and the manifest of its vectors."""

    corpus: str | Path
    queries: str | Path
    near: str | Path
    vectors: str | Path


def mine_source(
    tables: Tables,
    outputs: Paths,
    *,
    source: MinedSource,
    rule: Mine,
    seed: int,
    threads: int,
    on_source_error: str = "fail",
    share: Share = WHOLE,
    parts: Sequence[Paths] = (),
) -> dict[str, Any]:
    """Write the tuples and rejected pairs of a source; return counts.

    Retrieval: every (query, positive) with mined negatives, given ones first. Classification:
    the text's own label, the other labels. Clustering: another text of the class, texts of other
    classes. Ready tuples of any task: the given negatives. Pairs in = tuples + rejected.

    With a `share`, only its queries are mined, and whether enough tuples are left is not asked. With `parts`, the
    tables of all shares, these are put together and nothing is searched. Results do not depend on `threads`,
    shares, back end or block size.

    Raises:
        InputError: fewer than `rule.min_kept` tuples are left, or the task cannot be mined (with
            on_source_error "skip" the tables are empty instead, and the counts say "skipped").
    """
    try:
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
        outcome, counts = Outcome(), {SKIPPED: str(error)}
    # What the job that puts the shares together cannot count itself.
    told = {name: str(counts[name]) for name in (SKIPPED, *RECALL) if name in counts} if share != WHOLE else {}
    outcome.write(outputs, metadata=_metadata(tables, source) | told)
    return outcome.counts() | counts


def _metadata(tables: Tables, source: MinedSource) -> dict[str, str]:
    hashes = {name: sha256_file(getattr(tables, name)) for name in ("corpus", "queries")}
    return {"source": source.name} | {f"{name}_sha256": digest for name, digest in hashes.items()}


def _joined(parts: Sequence[Paths], tables: Tables) -> tuple[Outcome, dict[str, Any]]:
    outcome, told = Outcome(), [read_metadata(part.tuples) for part in parts]
    for part, about in zip(parts, told, strict=True):
        if SKIPPED in about:
            raise SourceError(about[SKIPPED])
        outcome.add_tables(part)
    counts: dict[str, Any] = {"queries": count_rows(tables.queries), "passages": count_rows(tables.corpus)}
    measured = [about for about in told if "recall" in about]
    if measured:
        sizes = [int(about["recall_queries"]) for about in measured]
        found = sum(size * float(about["recall"]) for size, about in zip(sizes, measured, strict=True))
        counts |= {"index": measured[0]["index"], "recall": found / sum(sizes), "recall_queries": sum(sizes)}
    return outcome, counts


def _checked(source: MinedSource, outcome: Outcome, rule: Mine, *, pairs: int) -> dict[str, int]:
    """Check that every pair is accounted for and that enough tuples are left; return the pairs."""
    found = outcome.counts()
    if pairs != found["tuples"] + found["rejected"]:
        raise AssertionError(f"source {source.name}: {pairs} pairs in, {found} out")
    if outcome.tuples < rule.min_kept:
        raise SourceError(_too_few(source.name, outcome, pairs, rule))
    return {"pairs": pairs}


def _pairs(tables: Tables, source: MinedSource) -> int:
    if source.shape == "clustering":
        return count_rows(tables.queries)
    lengths = (batch["positives"].value_lengths().to_numpy() for batch in read_batches(tables.queries))
    return sum(int(np.maximum(length, 1).sum()) for length in lengths)


def _mine(
    tables: Tables, source: MinedSource, rule: Mine, *, share: Share, seed: int, threads: int
) -> tuple[Outcome, dict[str, Any]]:
    outcome, retrieved = Outcome(), searched(source)
    rows = share.rows(count_rows(tables.queries))
    counts: dict[str, Any] = {"queries": len(rows), "passages": count_rows(tables.corpus)}
    if retrieved and len(rows):
        counts |= _search(tables, source, rule, outcome, rows, seed=seed, threads=threads)
    elif source.ready or source.task == "classification":
        for first, part in query_parts(tables.queries, rows, size=ROWS_AT_ONCE):
            outcome.add_rows(given(source.name, part, _passages(tables, part), first=first))
    elif not retrieved and share.number == 0:  # draws need all texts of a class: one share makes them
        outcome.add_rows(drawn(source.name, tables, negatives=rule.negatives, seed=seed))
    return outcome, counts


def query_parts(path: str | Path, rows: range, *, size: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield (first row, queries) of some rows of the table, at most `size` at a time."""
    at = 0
    for batch in read_batches(path, columns=QUERY_COLUMNS, rows=size):
        start, stop = max(rows.start, at), min(rows.stop, at + len(batch))
        if start < stop:
            yield start, pa.Table.from_batches([batch.slice(start - at, stop - start)])
        at += len(batch)


def given(source: str, queries: pa.Table, passages: Passages, *, first: int) -> Iterator[Kept | Rejected]:
    """Yield every query and positive with the negatives that the source gives, in its order.

    Left out of these are positives of the query and copies of them. The queries begin at row `first`.
    """
    for row, query in enumerate(queries.to_pylist(), first):
        if not query["positives"]:
            yield Rejected(query["query_id"], None, NO_POSITIVE)
        found = passages.rows([*query["positives"], *query["negatives"]])
        count = len(query["positives"])
        barred = {NO_ROW}.union(*(passages.same(row) for row in found[:count] if row != NO_ROW))
        negatives = [at for at in dict.fromkeys(found[count:]) if at not in barred]
        for doc, positive in zip(query["positives"], found[:count], strict=True):
            reason = MISSING_POSITIVE if positive == NO_ROW else FEW_CANDIDATES
            if positive == NO_ROW or not negatives:
                yield Rejected(query["query_id"], doc, reason, len(negatives), len(negatives))
            else:
                identity = tuple_id(source, query["query_id"], doc)
                yield Kept(identity, query["query_id"], row, positive, negatives, GIVEN)


def drawn(source: str, tables: Tables, *, negatives: int, seed: int) -> Iterator[Kept | Rejected]:
    """Yield for every text of a clustering source a text of its class against drawn texts of other classes."""
    texts: dict[str, list[Any]] = {"query_id": [], "label": [], "key": [], "doc": []}
    for batch in read_batches(tables.queries, columns=["query_id", "text", "label"]):
        texts["query_id"] += batch["query_id"].to_pylist()
        texts["label"] += batch["label"].to_pylist()
        for text in batch["text"].to_pylist():
            texts["key"].append(content_key(text))
            texts["doc"].append(doc_id(text))
    labels, keys, docs = texts["label"], texts["key"], texts["doc"]
    own = Passages.find(tables.corpus, near=tables.near, ids=docs).rows(docs)
    there = [at for at, row in enumerate(own) if row != NO_ROW]
    doc_of = {own[at]: docs[at] for at in there}
    classes = Classes([own[at] for at in there], labels=[labels[at] for at in there], keys=[keys[at] for at in there])
    for at, query in enumerate(texts["query_id"]):
        which = {"label": labels[at], "key": keys[at]}
        others = classes.others(**which)
        if not classes.partners(**which):
            yield Rejected(query, None, SINGLE_TEXT_CLASS, others, min(others, negatives))
        elif others < negatives:
            yield Rejected(query, None, FEW_CANDIDATES, others, others)
        else:
            draw = classes.draw(query, **which, negatives=negatives, seed=seed)
            identity = tuple_id(source, query, doc_of[draw.positive])
            yield Kept(identity, query, at, draw.positive, list(draw.negatives), DRAWN)


def _passages(tables: Tables, queries: pa.Table, *, keys: Sequence[str] = ()) -> Passages:
    """Return what the corpus says of the passages that some queries name, and of some E1 keys."""
    ids = [doc for name in ("positives", "negatives") for docs in queries[name].to_pylist() for doc in docs]
    return Passages.find(tables.corpus, near=tables.near, ids=ids, keys=keys)


def _search(
    tables: Tables, source: MinedSource, rule: Mine, outcome: Outcome, rows: range, *, seed: int, threads: int
) -> dict[str, Any]:
    about = read_json(tables.vectors)
    if SKIPPED in about:
        raise SourceError(about[SKIPPED])
    exact = choose(backend=rule.backend, device=rule.device, threads=threads, block_rows=rule.block_rows)
    store = query_store = VectorStore(about["store"], key=about["key"], compare=True)
    if "query_store" in about:
        query_store = VectorStore(about["query_store"], key=about["key"], compare=True)
    with store.view_of(_passage_vector_ids(tables, about)) as passages:
        approximate = Approximate(passages, rule.index) if rule.index.kind != "flat" and len(passages) else None
        task = Retrieval(source.name, passages, approximate or exact, exact, rule, seed)
        size = queries_at_once(rule.window, exact)
        with Progress(f"mine {source.name}", total=len(rows), unit="queries") as bar:
            for first, part in query_parts(tables.queries, rows, size=size):
                keys = [content_key(text) for text in part["text"].to_pylist()]
                found = _passages(tables, part, keys=keys)
                vectors = _query_vectors(query_store, part, about)
                for mined in mine_queries(task, part, vectors, found, keys=keys, first=first, advance=bar.advance):
                    outcome.add(mined)
        if approximate is None:
            return {}
        return _recall(tables, rows, rule, store=query_store, about=about, task=task, seed=seed)


def _query_vectors(store: VectorStore, queries: pa.Table, about: dict[str, Any]) -> VectorView:
    prompts = {"prompt": about["query_prompt"], "instruction": about["instruction"]}
    return store.view(as_ids([vector_id(text, **prompts) for text in queries["text"].to_pylist()]))


def _passage_vector_ids(tables: Tables, about: dict[str, Any]) -> Iterator[NDArray[np.bytes_]]:
    """Yield the ids of the passages' vectors: their own, unless the retriever reads a prompt before them."""
    if not about["passage_prompt"]:
        yield from corpus_ids(tables.corpus)
        return
    prompts = {"prompt": about["passage_prompt"], "instruction": about["instruction"]}
    for batch in read_batches(tables.corpus, columns=["text"], rows=ROWS_AT_ONCE):
        yield as_ids([vector_id(text, **prompts) for text in batch["text"].to_pylist()])


def _recall(
    tables: Tables, rows: range, rule: Mine, *, store: VectorStore, about: dict[str, Any], task: Retrieval, seed: int
) -> dict[str, Any]:
    """Return the measured recall of an approximate index, on the first queries: they are sorted by a hash."""
    sample = rows[: rule.index.recall_sample]
    part = pa.concat_tables(queries for _, queries in query_parts(tables.queries, sample, size=ROWS_AT_ONCE))
    vectors = _query_vectors(store, part, about)
    recall = measure_recall(
        vectors.rows(np.arange(len(vectors))), task.passage_vectors, wanted=rule.window, approximate=task.backend,
        exact=task.exact,
    )  # fmt: skip
    return {"index": rule.index.kind, "recall": recall, "recall_queries": len(part)}


def _too_few(source: str, outcome: Outcome, pairs: int, rule: Mine) -> str:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in outcome.counts()["rejected_by_reason"].items())
    return (
        f"source {source}: {outcome.tuples:,} tuples kept of {pairs:,} pairs, at least {rule.min_kept:,} are "
        f"needed ({reasons or 'it has no queries'}); raise mine.max_score, lower mine.relative_margin or "
        "mine.negatives, or take the source out"
    )
