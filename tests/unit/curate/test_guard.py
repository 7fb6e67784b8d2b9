import pytest
from hypothesis import given
from hypothesis import strategies as st

from f2llm.curate.guard import ALIKE, COPIES, ComparedText, difference, signs_of
from f2llm.records.text_keys import e1_text, e2_text


def compare(left, right):
    forms = [ComparedText(e2_text(text), signs_of(e1_text(text))) for text in (left, right)]
    found = difference(*forms)
    assert difference(*reversed(forms)) == found
    return found


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("a small red house", "A small, red house!", "same"),
        ("red house, small", "small red house", "same"),
        ("the house", "the house on the hill", "insert"),
        ("the hospital is closed", "the hospitl is closed", "typo"),
        ("well-known book", "well known book", "same"),
        ("a - b, well-known", "a \u2212 b, well\u2010known", "same"),
        ("a data base", "a database", "spacing"),
        ("version 2 of it", "version 3 of it", "number"),
        ("the lamp is on", "the lamp is not on", "negation"),
        ("the left hand", "the right hand", "swap"),
        ("flights to Rome", "flights to Oslo", "swap"),
        ("return a + b", "return a - b", "sign"),
        ("C compiler", "C++ compiler", "sign"),
        ("it costs $ five", "it costs \u20ac five", "sign"),
        ("a > b", "a < b", "sign"),
        ("one<br/>two <b>three</b>", "one two three", "same"),
        ("a vector<int> of it", "a vector<float> of it", "swap"),
    ],
)
def test_differences_are_named(left, right, kind):
    assert compare(left, right) == kind


@pytest.mark.parametrize(
    ("left", "right", "kind"),
    [
        ("\u4ed6\u4eca\u5929\u53bb\u516c\u56ed\u3002", "\u4ed6\u4eca\u5929\uff0c\u53bb\u516c\u56ed", "same"),
        ("\u4ed6\u53bb\u516c\u56ed", "\u4ed6\u4eca\u5929\u53bb\u516c\u56ed", "insert"),
        ("\u4ed6\u53bb\u516c\u56ed", "\u4ed6\u53bb\u516c\u56ed\u4e86", "typo"),  # less than a word more
        ("\u4ed6\u53bb\u516c\u56ed", "\u5979\u53bb\u516c\u56ed", "swap"),
        ("\u4ed6\u4eca\u5929\u53bb\u516c\u56ed", "\u4ed6\u4eca\u5929\u4e0d\u53bb\u516c\u56ed\u4e86", "negation"),
        ("\u5171 25 \u4e2a", "\u5171 26 \u4e2a", "number"),
        ("\u98df\u3079\u308b", "\u98df\u3079\u306a\u3044", "swap"),
        ("\u0e44\u0e1b", "\u0e44\u0e21\u0e48\u0e44\u0e1b", "negation"),
    ],
)
def test_differences_of_scripts_without_spaces_are_those_of_letters(left, right, kind):
    assert compare(left, right) == kind


def test_a_misspelling_is_alike_but_no_copy():
    assert compare("the abduction case", "the adduction case") in ALIKE - COPIES


@pytest.mark.parametrize(
    ("word", "other"), [("male", "female"), ("sin", "sinh"), ("encode", "decode"), ("anterior", "posterior"),
    ("hypertension", "hypotension"), ("increase", "decrease"), ("abduction", "adduction"), ("internal", "external"),
    ("ascending", "descending"), ("minimum", "maximum"), ("import", "export")],
)  # fmt: skip
def test_other_words_that_are_spelt_alike_are_no_copies(word, other):
    assert compare(f"the {word} case", f"the {other} case") not in COPIES


@pytest.mark.parametrize(
    ("word", "other"), [("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093e\u0928\u094d\u0926\u0940")]
)
def test_hindi_vowel_signs_are_part_of_the_word(word, other):
    assert compare(word, word) == "same"
    assert compare(word, other) != "same"


@given(st.text("+-<=|~$%#*/^&@ ab_1.\u00e9\u2212", max_size=12))
def test_signs_of_plain_ascii_are_those_of_any_text(text):
    e1 = e1_text(text)
    # A letter beyond ASCII, set apart, takes the general way and brings no sign.
    assert signs_of(e1) == signs_of(e1 + " \u00e9")
