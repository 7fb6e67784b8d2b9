import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from f2llm.curate.shingles import char_shingles, distinct, shared, windows, word_hashes

GOLDEN_GRAM = [11853622410376599037]  # another hash would part old indexes of evaluation texts from new ones


def grams(text, size):
    return {text[at : at + size] for at in range(len(text) - size + 1)}


def test_equal_runs_have_equal_hashes_and_other_runs_others():
    texts = ["abcdeabcde", "abcde", "\u0939\u093f\u0928\u094d\u0926\u0940", "xabcdex"]

    shingles = char_shingles(texts, size=5)

    runs = [text[at : at + 5] for text in texts for at in range(len(text) - 4)]
    assert len(shingles.values) == len(runs)
    assert len(set(shingles.values.tolist())) == len(set(runs))
    assert len(dict(zip(runs, shingles.values.tolist(), strict=True))) == len(set(runs))


def test_a_hash_does_not_depend_on_the_texts_beside_it():
    alone = char_shingles(["abcdefg"], size=5).row(0)
    beside = char_shingles(["xyz12", "abcdefg", ""], size=5).row(1)
    assert alone.tolist() == beside.tolist()


def test_a_text_shorter_than_a_shingle_is_one_shingle():
    shingles = char_shingles(["abc", "abd", ""], size=5)
    assert np.diff(shingles.offsets).tolist() == [1, 1, 1]
    assert len(set(shingles.values.tolist())) == 3


def test_word_runs_keep_inside_their_text():
    words = word_hashes(["a b c", "d", "", "a b"])
    runs = words.grams(2)
    assert np.diff(runs.offsets).tolist() == [2, 0, 0, 1]
    assert runs.row(0)[0] == runs.row(3)[0]
    assert runs.row(0)[1] != runs.row(3)[0]


def test_distinct_rows_are_sorted_and_without_repeats():
    rows = distinct(char_shingles(["aaaaaaa", "abcdefabcdef", ""], size=5))
    assert np.diff(rows.offsets).tolist() == [1, 6, 1]
    assert (np.diff(rows.row(1).astype(object)) > 0).all()


def test_common_values_are_counted_pair_by_pair():
    pairs = [("abcdefgh", "abcdefgx"), ("abcdefgh", "abcdefgh"), ("abcdef", "uvwxyz"), ("abcdefgh", "abc")]
    left, right = (distinct(char_shingles(list(side), size=5)) for side in zip(*pairs, strict=True))
    expected = [len(grams(left, 5) & grams(right, 5)) for left, right in pairs]
    assert shared(left, right).tolist() == shared(right, left).tolist() == expected


def test_no_pairs_have_nothing_in_common():
    none = char_shingles([], size=5)
    assert shared(none, none).tolist() == []


@given(st.lists(st.text("ab ", max_size=12), max_size=6), st.integers(1, 6))
def test_runs_are_those_of_each_row_alone(texts, size):
    texts = [" ".join(text.split()) for text in texts]
    together = windows(word_hashes(texts).hashes, size=size)
    alone = [windows(word_hashes([text]).hashes, size=size) for text in texts]
    assert [together.row(at).tolist() for at in range(len(texts))] == [rows.values.tolist() for rows in alone]
    assert [len(rows.values) for rows in alone] == [max(len(text.split()) - size + 1, 0) for text in texts]


def test_letters_that_stand_for_more_make_shorter_shingles():
    han, kana, thai = (
        "\u4e00\u4e07\u4e0e\u4e15\u4e16",
        "\u304b\u304d\u304f\u3051\u3053",
        "\u0e01\u0e02\u0e03\u0e04\u0e05\u0e06",
    )
    shingles = char_shingles([han, kana, thai, "abc" + han[:2], "abcdef"], size=5)
    assert np.diff(shingles.offsets).tolist() == [4, 3, 2, 4, 2]
    # Of the mixed text "abc<han>", "bc<han>", "c<han>" and the two letters.
    assert shingles.row(3)[3] == shingles.row(0)[0]


def test_english_shingles_are_the_same_beside_texts_of_other_scripts():
    assert (
        char_shingles(["\u4e00\u4e07\u4e0e", "abcdefg"], size=5).row(1).tolist()
        == char_shingles(["abcdefg"], size=5).row(0).tolist()
    )
    words = "one two three four five six"
    alone, beside = word_hashes([words]).grams(5), word_hashes(["\u4e00\u4e07\u4e0e" * 4, words]).grams(5)
    assert beside.row(1).tolist() == alone.row(0).tolist()


@given(st.lists(st.text("ab \u4e2d\u304b\u0e1c", max_size=12), max_size=6), st.integers(1, 3))
def test_grams_of_letters_are_those_of_each_row_alone(texts, size):
    texts = [" ".join(text.split()) for text in texts]
    together = word_hashes(texts).grams(size)
    assert [together.row(at).tolist() for at in range(len(texts))] == [
        word_hashes([text]).grams(size).values.tolist() for text in texts
    ]


def test_the_golden_hashes_of_english_words_stay():
    words = word_hashes(["who lit the red lamp"])
    assert words.worths is None
    assert words.grams(5).values.tolist() == GOLDEN_GRAM
