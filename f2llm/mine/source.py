"""One curated source -> its training tuples, and the pairs that gave none."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.config.run import Mine
from f2llm.config.sources import Source
from f2llm.encode.store import VectorStore, as_ids
from f2llm.mine.draw import Classes
from f2llm.mine.embed import query_vector_id, searched
from f2llm.mine.faults import SKIP, SourceError
from f2llm.mine.outcome import DRAWN, GIVEN, Kept, Outcome, Paths, Rejected
from f2llm.mine.passages import NO_ROW, Passages
from f2llm.mine.retrieve import MISSING_POSITIVE, NO_POSITIVE, Retrieval, mine_queries
from f2llm.mine.search import set_threads
from f2llm.mine.select import FEW_CANDIDATES
from f2llm.records.files import read_json, sha256_file
from f2llm.records.ids import doc_id, tuple_id
from f2llm.records.tables import read_table
from f2llm.records.text_keys import content_key

SINGLE_TEXT_CLASS = "single_text_class"
QUERY_COLUMNS = ("query_id", "text", "positives", "negatives", "label")
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
    source: Source,
    rule: Mine,
    seed: int,
    threads: int,
    on_source_error: str = "fail",
) -> dict[str, Any]:
    """Write the tuples and rejected pairs of a source; return counts.

    Retrieval: every (query, positive) with mined negatives, given ones first. Classification:
    the text's own label, the other labels. Clustering: another text of the class, texts of other
    classes. Ready tuples of any task: the given negatives. Pairs in = tuples + rejected. Results do
    not depend on `threads` or block size.

    Raises:
        InputError: fewer than `rule.min_kept` tuples are left, or the task cannot be mined (with
            on_source_error "skip" the tables are empty instead, and the counts say "skipped").
    """
    metadata = {
        "source": source.name,
        "corpus_sha256": sha256_file(tables.corpus),
        "queries_sha256": sha256_file(tables.queries),
    }
    try:
        outcome, counts = _mine(tables, source, rule, seed=seed, threads=threads)
    except SourceError as error:
        if on_source_error != SKIP:
            raise
        logger.warning("skipped: %s", error)
        outcome, counts = Outcome(), {"skipped": str(error)}
    outcome.write(outputs, metadata=metadata)
    return outcome.counts() | counts


def _mine(tables: Tables, source: Source, rule: Mine, *, seed: int, threads: int) -> tuple[Outcome, dict[str, Any]]:
    retrieved = searched(source)
    queries = read_table(tables.queries, columns=QUERY_COLUMNS)
    passages = Passages.read(tables.corpus, near=tables.near)
    outcome, stats = Outcome(), Counter()
    if retrieved:
        outcome.add(_searched(tables, source, rule, queries, passages, threads=threads, stats=stats))
    elif source.ready or source.task == "classification":
        outcome.add(given(source.name, queries, passages))
    else:
        outcome.add(drawn(source.name, queries, passages, negatives=rule.negatives, seed=seed))
    lists = queries["positives"].to_pylist() if source.shape != "clustering" else [[]] * len(queries)
    pairs = sum(max(1, len(positives)) for positives in lists)
    counts = {"queries": len(queries), "passages": len(passages), "pairs": pairs} | dict(stats)
    if pairs != sum(outcome.reasons.values()):
        raise AssertionError(f"source {source.name}: {pairs} pairs in, {dict(outcome.reasons)} out")
    if outcome.reasons["ok"] < rule.min_kept:
        raise SourceError(_too_few(source.name, outcome, pairs, rule))
    return outcome, counts


def given(source: str, queries: pa.Table, passages: Passages) -> Iterator[Kept | Rejected]:
    """Yield every query and positive with the negatives that the source gives, in its order.

    Left out of these are positives of the query and copies of them.
    """
    for row, query in enumerate(queries.to_pylist()):
        if not query["positives"]:
            yield Rejected(query["query_id"], None, NO_POSITIVE, 0, 0, None)
        found = passages.rows([*query["positives"], *query["negatives"]])
        count = len(query["positives"])
        barred = {NO_ROW}.union(*(passages.same(row) for row in found[:count] if row != NO_ROW))
        negatives = [at for at in dict.fromkeys(found[count:]) if at not in barred]
        for doc, positive in zip(query["positives"], found[:count], strict=True):
            reason = MISSING_POSITIVE if positive == NO_ROW else FEW_CANDIDATES
            if positive == NO_ROW or not negatives:
                yield Rejected(query["query_id"], doc, reason, len(negatives), len(negatives), None)
            else:
                yield _unscored(source, (row, query["query_id"]), (positive, doc), negatives, GIVEN)


def drawn(
    source: str, queries: pa.Table, passages: Passages, *, negatives: int, seed: int
) -> Iterator[Kept | Rejected]:
    """Yield for every text of a clustering source a text of its class against drawn texts of other classes."""
    texts, labels = queries["text"].to_pylist(), queries["label"].to_pylist()
    keys, own = [content_key(text) for text in texts], passages.rows([doc_id(text) for text in texts])
    there = [at for at, row in enumerate(own) if row != NO_ROW]
    classes = Classes([own[at] for at in there], labels=[labels[at] for at in there], keys=[keys[at] for at in there])
    for at, query in enumerate(queries["query_id"].to_pylist()):
        which = {"label": labels[at], "key": keys[at]}
        others = classes.others(**which)
        if not classes.partners(**which):
            yield Rejected(query, None, SINGLE_TEXT_CLASS, others, min(others, negatives), None)
        elif others < negatives:
            yield Rejected(query, None, FEW_CANDIDATES, others, others, None)
        else:
            draw = classes.draw(query, **which, negatives=negatives, seed=seed)
            doc = passages.ids[draw.positive].as_py()
            yield _unscored(source, (at, query), (draw.positive, doc), list(draw.negatives), DRAWN)


def _unscored(
    source: str, query: tuple[int, bytes], positive: tuple[int, bytes], negatives: list[int], kind: str
) -> Kept:
    """Return a tuple that no retriever had a part in."""
    nothing = [None] * len(negatives)
    return Kept(
        tuple_id=tuple_id(source, query[1], positive[1]),
        query_id=query[1],
        query_row=query[0],
        positive_row=positive[0],
        positive_score=None,
        negative_rows=negatives,
        negative_scores=nothing,
        negative_ranks=nothing,
        negative_kinds=[kind] * len(negatives),
    )


def _searched(
    tables: Tables,
    source: Source,
    rule: Mine,
    queries: pa.Table,
    passages: Passages,
    *,
    threads: int,
    stats: Counter[str],
) -> Iterator[Kept | Rejected]:
    set_threads(threads)
    about = read_json(tables.vectors)
    if "skipped" in about:
        raise SourceError(about["skipped"])
    prompts = {"prompt": about["query_prompt"], "instruction": about["instruction"]}
    wanted = as_ids([query_vector_id(text, **prompts) for text in queries["text"].to_pylist()])
    store = VectorStore(about["store"], key=about["key"])
    task = Retrieval(
        source=source.name,
        passages=passages,
        passage_vectors=store.view(as_ids(passages.ids.to_pylist())),
        query_vectors=store.view(wanted),
        rule=rule,
    )
    yield from mine_queries(task, queries, stats=stats)


def _too_few(source: str, outcome: Outcome, pairs: int, rule: Mine) -> str:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in outcome.counts()["rejected_by_reason"].items())
    return (
        f"source {source}: {outcome.reasons['ok']:,} tuples kept of {pairs:,} pairs, at least {rule.min_kept:,} are "
        f"needed ({reasons or 'it has no queries'}); raise mine.max_score, lower mine.relative_margin or "
        "mine.negatives, or take the source out"
    )
