import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from f2llm.records.ids import split_of
from f2llm.sources.collapse import PassageLink, QueryMention, merge, merge_queries
from f2llm.sources.staging import NEGATIVE, POSITIVE

Q, A, B, C = (bytes([number]) * 16 for number in (9, 1, 2, 3))


def mention(**changes):
    return QueryMention(**{"query_id": Q, "text": "text", "label": None, "grade": None, "group": "g"} | changes)


def test_positives_are_sorted_and_distinct():
    links = [PassageLink(Q, POSITIVE, B), PassageLink(Q, POSITIVE, A), PassageLink(Q, POSITIVE, B)]
    assert merge([mention()], links, labels={}, held_out=True).positives == [A, B]


def test_negatives_keep_the_order_of_the_source_and_are_never_positives():
    links = [
        PassageLink(Q, POSITIVE, B),
        PassageLink(Q, NEGATIVE, C),
        PassageLink(Q, NEGATIVE, B),
        PassageLink(Q, NEGATIVE, A),
        PassageLink(Q, NEGATIVE, C),
    ]
    assert merge([mention()], links, labels={}, held_out=True).negatives == [C, A]


def test_the_smallest_group_decides_the_split():
    merged = merge([mention(group="b"), mention(group="a")], [], labels={}, held_out=True)
    assert (merged.group, merged.split) == ("a", split_of("a"))


def test_the_other_labels_are_the_negatives_of_a_classified_text():
    merged = merge([mention(label="x")], [PassageLink(Q, POSITIVE, A)], labels={"x": A, "y": B, "z": C}, held_out=True)
    assert (merged.positives, merged.negatives, merged.label) == ([A], [B, C], "x")


def test_a_pair_graded_twice_gets_the_mean():
    assert merge([mention(grade=2.0), mention(grade=3.0)], [], labels={}, held_out=True).grade == 2.5


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(0, 3), max_size=3)), max_size=12))
def test_every_query_gets_its_own_links_and_nothing_else(content):
    by_query = {}
    for query, documents in content:
        by_query.setdefault(query, set()).update(documents)
    ids = [bytes([number]) * 16 for number in range(6)]
    mentions = sorted((ids[query], "t", None, None, "g") for query, _ in content)
    links = sorted({(ids[query], POSITIVE, ids[document]) for query, found in by_query.items() for document in found})
    batches = [
        [pa.RecordBatch.from_pylist([dict(zip(kind._fields, row, strict=True)) for row in rows])] if rows else []
        for kind, rows in ((QueryMention, mentions), (PassageLink, links))
    ]
    merged = [row for batch in merge_queries(*batches, labels={}, held_out=True) for row in batch.to_pylist()]
    assert {row["query_id"]: row["positives"] for row in merged} == {
        ids[query]: sorted(ids[document] for document in found) for query, found in by_query.items()
    }


def test_where_nothing_is_held_out_every_group_is_for_training():
    held = next(name for name in map(str, range(100)) if split_of(name) == "test")
    assert merge([mention(group=held)], [], labels={}, held_out=True).split == "test"
    assert merge([mention(group=held)], [], labels={}, held_out=False).split == "train"
