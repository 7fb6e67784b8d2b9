import random

from hypothesis import given
from hypothesis import strategies as st

from f2llm.mine.draw import Classes

# Row, class, key: row 4 repeats row 3 up to case.
TEXTS = [(0, "a", "k0"), (1, "a", "k1"), (2, "b", "k2"), (3, "b", "k3"), (4, "c", "k3"), (5, "c", "k5"), (6, "d", "k6")]


def classes(texts=TEXTS):
    return Classes([t[0] for t in texts], labels=[t[1] for t in texts], keys=[t[2] for t in texts])


def test_the_positive_is_another_text_of_the_class_and_negatives_are_distinct_and_of_others():
    made = classes()
    for query in (bytes([n]) for n in range(100)):
        draw = made.draw(query, label="a", key="k0", negatives=4, seed=0)
        assert draw.positive == 1
        assert len(set(draw.negatives)) == 4 and set(draw.negatives) <= {2, 3, 4, 5, 6}


def test_the_same_text_is_never_drawn():
    made = classes()
    for query in (bytes([n]) for n in range(100)):
        draw = made.draw(query, label="b", key="k3", negatives=4, seed=0)
        assert draw.positive == 2 and set(draw.negatives) == {0, 1, 5, 6}


def test_counts_say_what_can_be_drawn():
    made = classes()
    assert (made.partners(label="a", key="k0"), made.others(label="a", key="k0")) == (1, 5)
    assert (made.partners(label="b", key="k3"), made.others(label="b", key="k3")) == (1, 4)
    assert made.partners(label="d", key="k6") == 0
    assert made.partners(label="nowhere", key="k6") == 0


def test_all_others_can_be_drawn_and_all_are_met():
    made = classes()
    assert set(made.draw(b"q", label="a", key="k0", negatives=5, seed=0).negatives) == {2, 3, 4, 5, 6}
    first = {made.draw(bytes([n]), label="c", key="k5", negatives=1, seed=0).negatives[0] for n in range(200)}
    assert first == {0, 1, 2, 3, 6}


@given(st.integers(0, 2**32), st.integers(0, 5))
def test_a_draw_depends_on_ids_and_seed_and_not_on_the_order_of_rows(order, seed):
    shuffled = TEXTS[:]
    random.Random(order).shuffle(shuffled)
    ask = {"label": "a", "key": "k0", "negatives": 3, "seed": seed}
    assert classes(shuffled).draw(b"q", **ask) == classes().draw(b"q", **ask)


def test_another_seed_or_query_is_another_draw():
    made = classes([(n, "ab"[n % 2], f"k{n}") for n in range(1000)])
    draws = {made.draw(query, label="a", key="k0", negatives=3, seed=seed) for seed in (0, 1) for query in (b"p", b"q")}
    assert len(draws) == 4


def test_the_draw_is_the_same_on_every_machine():
    made = classes([(n, "ab"[n % 2], f"k{n}") for n in range(1000)])
    assert made.draw(b"q", label="a", key="k0", negatives=3, seed=0) == (396, (531, 405, 701))
