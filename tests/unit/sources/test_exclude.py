from f2llm.config.exclusions import Exclusion
from f2llm.records.ids import doc_id, query_id
from f2llm.sources.exclude import EXCLUDED, without_excluded
from f2llm.sources.records import Labelled, Pair, Passage, Query, Skipped

PASSAGE = Passage("k", "a passage", "f", 1, "p")
QUERY = Query("a query", ("k",), (), "g", "f", 2, "q")
LABELLED = Labelled("a text", "label", "g", "f", 3, "t", "l")
PAIR = Pair("one", "two", 1.0, "g", "f", 4, "a", "b", 5)
SKIPPED = Skipped("text is empty", "f", 9)


def left(records, task="retrieval", **what):
    return list(without_excluded(records, [Exclusion(source="s", reason="r", **what)], task=task))


def test_a_row_takes_all_its_records_along_and_they_are_accounted_for():
    same = QUERY._replace(row=1)
    assert left([PASSAGE, same, QUERY, SKIPPED], file="f", row=1) == [
        Skipped(EXCLUDED, "f", 1, "passage"), Skipped(EXCLUDED, "f", 1, "query"), QUERY, SKIPPED,
    ]  # fmt: skip


def test_a_row_of_another_file_stays():
    assert left([PASSAGE], file="other", row=1) == [PASSAGE]


def test_the_id_of_a_text_takes_its_copies_with_characters_that_are_not_displayed():
    hidden = [QUERY._replace(text="a que\u00adry\u200b"), PAIR._replace(other="t\u2060wo")]
    assert left(hidden[:1], id=doc_id("a query").hex()) == [Skipped(EXCLUDED, "f", 2, "query")]
    assert left(hidden[1:], task="sts", id=doc_id("two").hex()) == [Skipped(EXCLUDED, "f", 4, "query")]
    assert left(hidden[1:], task="sts", id=query_id("sts", "one\x1ftwo").hex()) == [Skipped(EXCLUDED, "f", 4, "query")]
    assert left([QUERY], id=doc_id("a que\u00adry").hex()) == [QUERY]


def test_an_id_takes_every_mention_of_a_text_in_any_role():
    for identity in (doc_id("a query"), query_id("retrieval", "a query")):
        assert left([PASSAGE, QUERY, QUERY._replace(row=7)], id=identity.hex())[0] == PASSAGE
        assert [type(one) for one in left([PASSAGE, QUERY], id=identity.hex())] == [Passage, Skipped]
    assert isinstance(left([LABELLED], "clustering", id=doc_id("a text").hex())[0], Skipped)


def test_both_texts_and_rows_of_a_graded_pair_count():
    pair = query_id("sts", "one\x1ftwo")
    for identity in (doc_id("one"), doc_id("two"), pair):
        assert isinstance(left([PAIR], "sts", id=identity.hex())[0], Skipped)
    for row in (4, 5):
        assert isinstance(left([PAIR], "sts", file="f", row=row)[0], Skipped)


def test_a_text_in_another_unicode_form_is_the_same_text():
    record = PASSAGE._replace(text="Cafe\u0301")
    assert isinstance(left([record], id=doc_id("Caf\u00e9").hex())[0], Skipped)
