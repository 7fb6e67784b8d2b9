"""Words, and letters of scripts without spaces as parts of words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from f2llm.records.words import count_words, first_words, has_unspaced, spaced, tokens_of, widths_of, worths_of

CHINESE = "\u6211\u4eec\u660e\u5929\u53bb\u516c\u56ed"  # seven letters
THAI = "\u0e1c\u0e39\u0e49\u0e43\u0e2b\u0e0d\u0e48"  # four letters, three marks
LATIN = st.text("aB9 -.\u00e9\u0915\u093e\ud55c\u2019\u2014\n", max_size=20)


def test_letters_of_scripts_without_spaces_are_tokens():
    assert spaced("\u4e2d\u6587abc \u0e44\u0e17\u0e22") == "\u4e2d \u6587 abc \u0e44 \u0e17 \u0e22"
    assert spaced("\u30b5\u30fc\u30d0\u30fc") == "\u30b5 \u30fc \u30d0 \u30fc"
    assert spaced("plain words") == "plain words"
    assert spaced("\u0939\u093f\u0928\u094d\u0926\u0940 stays") == "\u0939\u093f\u0928\u094d\u0926\u0940 stays"


def test_a_mark_stays_with_its_letter_and_a_number_is_one_token():
    assert spaced(THAI) == "\u0e1c\u0e39\u0e49 \u0e43 \u0e2b \u0e0d\u0e48"
    assert spaced("\u4e2d25\u4e2a\u0e52\u0e53") == "\u4e2d 25 \u4e2a \u0e52\u0e53"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("two words", 2),
        ("a - b", 3),
        ("\ud55c\uad6d\uc5b4 \ubb38\uc7a5", 2),
        (CHINESE[:1], 1),
        (CHINESE[:3], 2),
        (CHINESE, 4),
        ("\u6211\u3002\u4eec\uff0c - \u660e", 2),
        (f"{CHINESE}Home Assistant 25", 7),
        ("\u3072\u3089\u304c\u306a" * 7, 8),
        (THAI * 7, 8),
    ],
)
def test_letters_count_as_parts_of_words(text, words):
    assert count_words(text) == words


def test_long_chinese_passages_are_cut_where_english_ones_are():
    assert first_words("one two  three\nfour", 3) == "one two three"
    assert first_words(f"{CHINESE[:2]}\uff0c{CHINESE[2:]}", 2) == f"{CHINESE[:2]}\uff0c{CHINESE[2]}"
    assert first_words(f"{CHINESE[:3]}\u3002 Home  Assistant", 3) == f"{CHINESE[:3]}\u3002 Home"
    assert first_words(f"{CHINESE} a", None) == f"{CHINESE} a"


def test_a_cut_takes_no_mark_from_its_letter():
    assert first_words(THAI * 2, 1) == "\u0e1c\u0e39\u0e49\u0e43\u0e2b"


@given(st.text("a9 -.\u3002\u4e2d\u6587\u304b\u0e1c\u0e39\n", max_size=24), st.integers(1, 6))
def test_a_cut_text_is_a_beginning_that_has_at_most_as_many_words(text, count):
    cut = first_words(text, count)
    assert " ".join(text.split()).startswith(cut)
    if has_unspaced(cut) or not has_unspaced(text):  # without such letters a dash between spaces is a word
        assert count_words(cut) <= count
    if count_words(text) < count:
        assert cut == " ".join(text.split())


@given(LATIN)
def test_texts_of_other_scripts_have_the_words_between_their_spaces(text):
    assert count_words(text) == len(text.split())
    assert first_words(text, 2) == " ".join(text.split()[:2])
    assert [token.rstrip() for token in tokens_of(text)] == text.split()
    assert spaced(text) is text
    assert widths_of(np.frombuffer(text.replace("\ud55c", "").replace("\u2019", "").replace("\u2014", "")
                                   .encode("utf-32-le"), np.uint32)) is None  # fmt: skip


@given(st.text("a \u4e2d\u304b\u0e1c\u0e39", max_size=24))
def test_the_tokens_of_a_text_are_all_of_it(text):
    assert "".join(tokens_of(text)) == text.lstrip()


def test_a_letter_is_worth_part_of_a_word():
    assert worths_of(["word", "\u4e2d", "\u304b", "\u0e1c\u0e39", "25", "\u0301"]) == [21, 14, 6, 6, 21, 21]


def test_a_letter_stands_for_as_many_latin_ones_as_hold_what_it_does():
    codes = np.frombuffer("a\u4e2d\u304b\u0e1c\ud55c".encode("utf-32-le"), np.uint32)
    assert widths_of(codes).tolist() == [1, 4, 2, 1, 1]
    assert widths_of(codes[[0, 3, 4]]) is None
