"""Premise -> the hypothesis that follows from it; the others are given negatives (F2LLM, arXiv 2510.02294)."""

from collections.abc import Iterator, Sequence

from f2llm.records.ids import doc_id
from f2llm.rows.fields import group_of, label_of, text_of
from f2llm.rows.reader import RawRows
from f2llm.sources.records import Passage, Query, Skipped


def nli(
    rows: RawRows,
    *,
    premise: str = "premise",
    hypothesis: str = "hypothesis",
    label: str = "label",
    entailment: Sequence[str] = ("0", "entailment"),
    neutral: Sequence[str] = ("1", "neutral"),
    contradiction: Sequence[str] = ("2", "contradiction"),
) -> Iterator[Passage | Query | Skipped]:
    """Yield one query a row; rows of one premise, wherever they lie, become one query.

    Contradicting hypotheses come before neutral ones among its negatives. A premise without an
    entailed hypothesis has no positive and is left out. Rows without a gold label are left out.
    Split by premise.
    """
    kinds = [set(map(label_of, labels)) for labels in (entailment, contradiction, neutral)]
    for row in rows.read(premise, hypothesis, label):
        text, other, gold = (text_of(row.values, column) for column in (premise, hypothesis, label))
        if not text or not other:
            yield Skipped(f"{hypothesis if text else premise!r} is empty", row.file, row.row)
            continue
        key = (doc_id(other).hex(),)
        right, wrong, unclear = (key if label_of(gold) in kind else () for kind in kinds)
        if not (right or wrong or unclear):
            yield Skipped("row has no gold label", row.file, row.row)
            continue
        yield Passage(*key, other, row.file, row.row, hypothesis)
        split_group = group_of(row.values, premise, default=text)
        yield Query(text, right, wrong, split_group, row.file, row.row, premise, unclear)
