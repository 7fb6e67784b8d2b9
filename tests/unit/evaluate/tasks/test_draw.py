from hypothesis import given
from hypothesis import strategies as st

from f2llm.evaluate.tasks.drawn import SourcePassage, draw
from f2llm.records.ids import doc_id
from f2llm.records.text_keys import content_key


def passages(texts):
    return [SourcePassage(doc_id(text), text, content_key(text)) for text in texts]


TEXTS = st.lists(st.text("aAbBcC ", min_size=1, max_size=4), unique=True, max_size=30)


@given(TEXTS, st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_draw_does_not_depend_on_the_order_of_rows(texts, count, random):
    shuffled = random.sample(texts, len(texts))
    first, second = (draw(lambda rows=rows: passages(rows), count=count, stage="x") for rows in (texts, shuffled))
    assert first == second


@given(TEXTS, st.integers(1, 8))
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(texts, count):
    all_rows = draw(lambda: passages(texts), count=None, stage="x")
    assert draw(lambda: passages(texts), count=count, stage="x") == all_rows[:count]


@given(TEXTS)
def test_equal_texts_are_drawn_once(texts):
    drawn = draw(lambda: passages(texts), count=None, stage="x")
    assert sorted(row.key for row in drawn) == sorted({content_key(text) for text in texts})


def test_many_copies_in_front_do_not_shorten_a_draw():
    copies = ["a" + " " * number for number in range(1, 60)]
    drawn = draw(lambda: passages([*copies, "b", "c"]), count=3, stage="x")
    assert {row.text.strip() for row in drawn} == {"a", "b", "c"}


def test_two_stages_draw_differently():
    rows = passages([f"text {number}" for number in range(100)])
    assert draw(lambda: rows, count=10, stage="x") != draw(lambda: rows, count=10, stage="y")
