import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from f2llm.curate import near
from f2llm.curate import passages as passages_of
from f2llm.records.errors import InputError
from f2llm.records.files import sha256_file
from f2llm.records.tables import read_metadata

LONG = (
    "the old lighthouse keeper walked along the rocky shore every evening and counted the ships that passed "
    "beyond the reef before he climbed the narrow stairs and lit the lamp"
)
COPY = LONG + " again"


def test_equal_texts_collapse_into_the_lowest_id_and_positives_follow(curate, query):
    texts = ["A Lamp", "a lamp", "a&nbsp;lamp", "a boat"]
    found = curate(texts, [query(f"query {at}", (text,)) for at, text in enumerate(texts)])

    (kept,) = set(found.corpus) - {"a boat"}
    assert {row["kept"] for row in found.removed} == {kept}
    assert [found.queries[f"query {at}"]["positives"] for at in range(3)] == [[kept]] * 3
    assert found.counts["removed_passages"] == {"exact": {"equal text": 2}}


def test_signs_with_a_meaning_keep_texts_apart(curate):
    assert len(curate(["C compiler", "C++ compiler"]).corpus) == 2


def test_equal_queries_become_one_with_all_positives(curate, query):
    found = curate(["one", "two", "three"], [query("Which?", ("one",), ("three",)), query("which?", ("two", "one"))])

    (row,) = found.queries.values()
    assert sorted(row["positives"]) == ["one", "two"]
    assert row["negatives"] == ["three"]
    assert found.counts["removed_queries"] == {"exact": {"equal text": 1}}


def test_equal_texts_with_different_labels_go_both(curate, query):
    found = curate(
        ["good", "bad"],
        [query("Fine!", ("good",), label="good"), query("fine!", ("bad",), label="bad"), query("fine", ("good",))],
        task="classification",
    )
    assert list(found.queries) == ["fine"]
    assert found.why("Fine!", "query") == "exact: equal texts with different labels"


def test_held_out_queries_are_counted_and_their_copies_go(curate, query):
    found = curate(
        ["one", "two"],
        [
            query("Which one?", ("one",), split="test", group="a"), query("which  one?", ("one",)),
            query("from elsewhere", ("two",)), query("what is two", ("two",)),
        ],
        other=[query("From elsewhere", split="dev"), query("what is two", split="train")],
    )  # fmt: skip
    assert list(found.queries) == ["what is two"]
    assert found.counts["queries_held_out"] == {"test": 1}
    assert found.why("which  one?", "query") == "split: equal to a held-out query"
    assert found.row("from elsewhere", "query")["evidence"] == "held-out query of other"
    assert found.row("which  one?", "query")["evidence"] == "held-out query of toy"
    assert sorted(found.corpus) == ["one", "two"]


def test_a_held_out_query_with_characters_that_are_not_displayed_is_the_same_query(curate, query):
    found = curate(
        ["one", "two"],
        [
            query("which number?", ("one",), split="test", group="a"), query("which num\u00adber?", ("two",), group="b"),
            query("\u200bwhich\u200e number\ufeff?", ("two",), group="c"), query("another", ("two",), group="d"),
        ],
    )  # fmt: skip
    assert list(found.queries) == ["another"]
    assert found.counts["removed_queries"] == {"split": {"equal to a held-out query": 2}}


def test_copies_and_evaluation_texts_with_such_characters_are_found(curate, query):
    hidden = "\u00ad".join(LONG)
    found = curate([LONG, hidden, "other"], [query("q", (hidden,)), query("r", ("other",))])
    assert len(found.corpus) == 2
    assert curate([hidden], texts=[LONG]).why(hidden) == "decontaminate: found in the evaluation texts"


def test_positives_and_negatives_follow_a_near_copy(curate, query):
    found = curate([LONG, COPY, "other"], [query("q", (COPY,), (LONG, "other")), query("r", ("other",), (LONG, COPY))])

    assert sorted(found.corpus) == sorted([COPY, "other"])
    assert found.queries["q"] | {"positives": [COPY], "negatives": ["other"]} == found.queries["q"]
    assert found.queries["r"]["negatives"] == [COPY]
    assert found.counts["negatives_false"] == 1


def test_a_given_negative_near_to_a_positive_goes(curate, query):
    found = curate([LONG, COPY, "other"], [query("q", (LONG,), (COPY, "other"))], near__policy="report")
    assert found.queries["q"]["negatives"] == ["other"]
    assert len(found.corpus) == 3


def test_negatives_keep_the_order_of_the_source(curate, query):
    texts = ["p", "n3", "n1", "n2"]
    found = curate(texts, [query("q", ("p",), ("n3", "n1", "n2"))])
    assert found.queries["q"]["negatives"] == ["n3", "n1", "n2"]


def test_a_query_that_is_its_own_positive_goes_unless_another_is_left(curate, query):
    found = curate(["A lamp.", "a boat"], [query("a lamp", ("A lamp.",)), query("A  boat!", ("a boat", "A lamp."))])
    assert found.why("a lamp", "query") == "positive: equal to its only positive"
    assert found.queries["A  boat!"]["positives"] == ["A lamp."]


def test_a_query_without_positives_goes(curate, query):
    found = curate(["one"], [query("q"), query("r", ("one",))])
    assert found.why("q", "query") == "positive: no positive"


def test_a_list_that_names_no_passage_is_an_error_that_says_so(curate, query):
    with pytest.raises(
        InputError, match="toy: positives of query [0-9a-f]{32}: passage [0-9a-f]{32} is not in the corpus"
    ):
        curate(["one"], [query("q", ("two",))])


def test_an_id_in_two_rows_is_an_error(curate, query):
    with pytest.raises(InputError, match="toy: a query_id stands in two rows"):
        curate(["one"], [query("q", ("one",)), query("q", ("one",))])


def test_samples_keep_what_kept_queries_name(curate, query):
    texts = [f"passage {at}" for at in range(40)]
    queries = [query(f"query {at}", (texts[at],), (texts[at + 20],)) for at in range(20)]

    found = curate(texts, queries, caps={"max_queries": 5, "max_passages": 12})

    assert (len(found.queries), len(found.corpus)) == (5, 12)
    for row in found.queries.values():
        assert {*row["positives"], *row["negatives"]} <= set(found.corpus)
    assert found.counts["removed_queries"] == {"sample": {"beyond max_queries": 15}}
    assert found.counts["removed_passages"] == {"sample": {"beyond max_passages": 28}}


@pytest.mark.parametrize(("most", "kept"), [(9, 10), (10, 10), (11, 11), (40, 40), (41, 40)])
def test_positives_and_negatives_outrank_max_passages(curate, query, most, kept):
    texts = [f"passage {at}" for at in range(40)]
    queries = [query(f"query {at}", (texts[at],), (texts[at + 20],)) for at in range(5)]
    assert len(curate(texts, queries, caps={"max_passages": most}).corpus) == kept


def test_a_smaller_sample_is_part_of_a_larger_one(curate, query):
    queries = [query(f"query {at}", ("one",)) for at in range(30)]
    samples = [set(curate(["one"], queries, caps={"max_queries": most}).queries) for most in (5, 10)]
    assert samples[0] < samples[1]


def test_a_query_of_an_earlier_source_goes_and_its_passages_stay(curate, query):
    found = curate(
        ["one", "two"], [query("Which?", ("one",)), query("who?", ("two",))], earlier={"first": [query("which?")]}
    )
    assert list(found.queries) == ["who?"]
    assert found.why("Which?", "query") == "across: equal to a query of an earlier source"
    assert found.row("Which?", "query")["evidence"] == "query of first"
    assert sorted(found.corpus) == ["one", "two"]


def test_in_clustering_sources_the_passage_of_such_a_query_goes_too(curate, query):
    rows = [query("lamp", label="x"), query("boat", label="y")]
    found = curate(["lamp", "boat"], rows, task="clustering", earlier={"a": [query("Lamp")], "b": [query("lamp")]})
    assert found.corpus == ["boat"]
    assert found.row("lamp")["evidence"] == "query of a"


def clustering(query, texts, **changes):
    return [query(text, label="xy"[at % 2], **changes) for at, text in enumerate(texts)]


def test_a_clustering_corpus_holds_training_texts_only(curate, query):
    rows = [query("lamp", label="x"), query("boat", label="y", split="test", group="h"), query("Boat", label="y")]
    found = curate(["lamp", "boat", "Boat", "nobody's"], rows, task="clustering")

    assert found.corpus == ["lamp"]
    assert list(found.queries) == ["lamp"]
    assert found.why("boat") == "split: not the text of a training row"
    assert found.why("Boat") == "split: equal to a held-out query"
    assert found.why("Boat", "query") == "split: equal to a held-out query"


def test_in_clustering_sources_query_and_passage_go_together(curate, query):
    texts = [LONG, COPY, "Lamp", "lamp", "which keeper lit the red lamp", "boat"]
    rows = [query(text, label="x") for text in texts]
    found = curate(texts, rows, ["which keeper lit the red lamp"], "clustering")

    assert sorted(found.corpus) == sorted(found.queries)
    assert len(found.corpus) == 3
    for role in ("query", "passage"):
        assert found.why(LONG, role) == "near: near copy"
        assert found.row(LONG, role)["kept"] == COPY
        assert found.why("which keeper lit the red lamp", role) == "decontaminate: found in the evaluation texts"
    gone = ({"Lamp", "lamp"} - set(found.corpus)).pop()
    assert found.row(gone, "query")["kept"] == found.row(gone)["kept"]


def test_near_copies_of_different_classes_both_stay(curate, query):
    found = curate([LONG, COPY], clustering(query, [LONG, COPY]), task="clustering")
    assert len(found.corpus) == 2
    assert len(found.near) == 1


def test_sampling_queries_leaves_a_clustering_corpus_whole(curate, query):
    texts = [f"text {at}" for at in range(10)]
    found = curate(texts, clustering(query, texts), task="clustering", caps={"max_queries": 4})
    assert (len(found.queries), len(found.corpus)) == (4, 10)
    found = curate(texts, clustering(query, texts), task="clustering", caps={"max_queries": 4, "max_passages": 5})
    assert (len(found.queries), len(found.corpus)) == (4, 5)
    assert set(found.queries) <= set(found.corpus)


def test_a_clustering_text_without_a_passage_is_an_error(curate, query):
    with pytest.raises(InputError, match="the text of query [0-9a-f]{32} is not in the corpus"):
        curate(["one"], [query("two", label="x")], task="clustering")


def busy_source(query):
    rnd = random.Random(3)
    words = LONG.split()
    passages = [LONG, COPY, "A lamp", "a lamp", "a  lamp", "boat"]
    passages += [" ".join(rnd.choice(words) for _ in range(rnd.randint(2, 30))) for _ in range(40)]
    passages += [text + " again" for text in passages[6:26]]
    queries = [
        query(f"{'Q' if at % 2 else 'q'}uery {at // 2}", (passages[at],), (passages[-at - 1],), split="test" if at % 9 == 0 else "train")
        for at in range(40)
    ]  # fmt: skip
    return passages, queries, [passages[10], passages[40], "query 7"]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 1000))
def test_bytes_do_not_depend_on_row_order_threads_memory_or_parts(curate, query, seed):
    passages, queries, texts = busy_source(query)
    caps = {"max_queries": 15, "max_passages": 40}

    straight = curate(passages, queries, texts, caps=caps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages_of, "ROWS_PER_BATCH", 1 + seed % 50)
        patch.setattr(passages_of, "CHARACTERS_PER_PART", 1 + seed)
        patch.setattr(near, "PAIRS_PER_PART", 1 + seed % 7)
        patch.setattr(near, "SHINGLES_PER_PART", 1 + seed)
        shuffled = curate(
            passages, queries, texts, caps=caps, seed=seed, threads=1 + seed % 3, memory_mb=(60, 100, 300)[seed % 3]
        )

    assert [sha256_file(path) for path in shuffled.paths] == [sha256_file(path) for path in straight.paths]
    assert shuffled.counts == straight.counts


def test_rows_in_are_rows_out_and_rows_removed(curate, query):
    passages, queries, texts = busy_source(query)

    found = curate(passages, queries, texts, caps={"max_queries": 15, "max_passages": 40})

    counts = found.counts
    for role in ("passages", "queries"):
        removed = sum(sum(reasons.values()) for reasons in counts[f"removed_{role}"].values())
        assert counts[f"{role}_in"] == counts[f"{role}_out"] + removed
    assert counts["queries_in"] + sum(counts["queries_held_out"].values()) == len(queries)
    assert (
        len(found.removed)
        == counts["passages_in"] - counts["passages_out"] + counts["queries_in"] - counts["queries_out"]
    )
    assert set(counts["removed_passages"]) == {"exact", "near", "decontaminate", "sample"}
    for row in found.queries.values():
        assert {*row["positives"], *row["negatives"]} <= set(found.corpus)
        assert row["positives"]
        assert row["split"] == "train"
    keys = [(row["role"], row["id"]) for row in found.removed]
    assert keys == sorted(set(keys))


def test_empty_tables_stay_tables(curate):
    found = curate([], [])
    assert (found.corpus, found.queries, found.removed, found.near) == ([], {}, [], [])


def test_the_reason_why_a_source_was_skipped_stays_with_its_curated_queries(curate):
    assert read_metadata(curate(["p"]).paths.queries) == {}
    assert read_metadata(curate([], skipped="HTTP 404").paths.queries) == {"skipped": "HTTP 404"}
