from hypothesis import given
from hypothesis import strategies as st

from f2llm.records.ids import doc_id, keyed_hash, query_id, split_of, tuple_id


def test_an_id_is_sixteen_bytes_and_the_same_on_every_machine():
    assert doc_id("hello").hex() == "46fb7408d4f285228f4af516ea25851b"
    assert len(query_id("retrieval", "hello")) == 16


def test_the_same_text_in_two_unicode_forms_has_one_id():
    assert doc_id("caf\u00e9") == doc_id("cafe\u0301")
    assert query_id("sts", "caf\u00e9") == query_id("sts", "cafe\u0301")


def test_a_query_id_depends_on_the_task():
    assert query_id("retrieval", "hello") != query_id("clustering", "hello")


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_parts_do_not_run_into_each_other(a, b, c, d):
    same = (a.encode("utf-8", "replace"), b.encode("utf-8", "replace")) == (
        c.encode("utf-8", "replace"),
        d.encode("utf-8", "replace"),
    )
    assert (
        tuple_id("s", a.encode("utf-8", "replace"), b.encode("utf-8", "replace"))
        == tuple_id("s", c.encode("utf-8", "replace"), d.encode("utf-8", "replace"))
    ) == same


def test_a_keyed_hash_depends_on_seed_stage_and_id():
    hashes = {keyed_hash(seed, stage, name) for seed in (0, 1) for stage in ("plan", "draw") for name in (b"a", b"b")}
    assert len(hashes) == 8


def test_about_a_tenth_of_the_groups_is_test_and_a_tenth_is_dev():
    splits = [split_of(f"group {i}") for i in range(5000)]
    assert 420 < splits.count("test") < 580
    assert 420 < splits.count("dev") < 580
    assert splits.count("train") == 5000 - splits.count("test") - splits.count("dev")


def test_a_split_sees_nothing_but_the_group():
    assert split_of("A00") == split_of("A00")
    assert split_of("caf\u00e9") == split_of("cafe\u0301")
