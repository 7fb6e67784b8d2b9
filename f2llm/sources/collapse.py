"""Merge all mentions of a query, wherever they stand in a source, into one row of the table of queries."""

import heapq
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa

from f2llm.records.ids import split_of
from f2llm.records.schemas.sources import QUERIES
from f2llm.sources.staging import POSITIVE

BATCH_ROWS = 4096
TRAIN = "train"
_ID = itemgetter(0)


class QueryMention(NamedTuple):
    """One place where a query stands."""

    query_id: bytes
    text: str
    label: str | None
    grade: float | None
    group: str


class PassageLink(NamedTuple):
    """A passage that a query names, in the order of the source."""

    query_id: bytes
    kind: int  # POSITIVE, NEGATIVE or LATER_NEGATIVE
    doc_id: bytes


class MergedQuery(NamedTuple):
    """A row of the table of queries."""

    query_id: bytes
    text: str
    positives: list[bytes]
    negatives: list[bytes]
    label: str | None
    grade: float | None
    group: str
    split: str


def merge(
    mentions: Sequence[QueryMention], links: Sequence[PassageLink], *, labels: Mapping[str, bytes], held_out: bool
) -> MergedQuery:
    """The row of one query, from all its mentions and all passages that they name.

    Positives are sorted and distinct. Negatives are distinct, in the order of the source, and none
    is a positive; for classification (`labels`: label -> doc_id) they are the other labels. The
    smallest group stands for all and decides the split, unless nothing is held out; a grade is the mean of all grades.
    """
    first = mentions[0]
    positives = sorted({link.doc_id for link in links if link.kind == POSITIVE})
    candidates = [*labels.values(), *(link.doc_id for link in links if link.kind != POSITIVE)]
    negatives = [doc for doc in dict.fromkeys(candidates) if doc not in positives]
    grades = sorted(mention.grade for mention in mentions if mention.grade is not None)
    grade = sum(grades) / len(grades) if grades else None
    group = min(mention.group for mention in mentions)
    split = split_of(group) if held_out else TRAIN
    return MergedQuery(first.query_id, first.text, positives, negatives, first.label, grade, group, split)


def merge_queries(
    mentions: Iterable[pa.RecordBatch], links: Iterable[pa.RecordBatch], *, labels: Mapping[str, bytes], held_out: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the table of queries from mentions and links, both sorted by query_id.

    Links of one query are in the order of their kind, then of the source. One query is in memory at a time.
    """
    together = heapq.merge(_rows(mentions, QueryMention), _rows(links, PassageLink), key=_ID)
    rows = _merged(together, labels=labels, held_out=held_out)
    while block := list(itertools.islice(rows, BATCH_ROWS)):
        yield pa.RecordBatch.from_pylist([row._asdict() for row in block], schema=QUERIES)


def _merged(rows: Iterable[QueryMention | PassageLink], **settings: Any) -> Iterator[MergedQuery]:  # noqa: ANN401
    # Sorted by query_id, mentions before links; every link is of a query that has a mention.
    for _, group in itertools.groupby(rows, key=_ID):
        both = list(group)
        mentions = [row for row in both if isinstance(row, QueryMention)]
        yield merge(mentions, both[len(mentions) :], **settings)


def _rows(batches: Iterable[pa.RecordBatch], kind: type[NamedTuple]) -> Iterator[tuple]:
    for batch in batches:
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield kind(*row)
